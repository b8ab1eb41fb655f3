
impl ReplicationPolicy for PluginType {
    fn replicate(&self, object: &Object, backends: &[BackendState]) -> Replication {
        let takes = |index: &u32| {
            object.has_good_copy(*index) || backends[*index as usize].usable()
        };
        let candidates = object.candidates.iter().copied().filter(takes);
        let wanted: Vec<_> = candidates.take(object.copies_wanted as usize).collect();
        Replication::towards(&wanted, object).because("where placement wants them")
    }
}
