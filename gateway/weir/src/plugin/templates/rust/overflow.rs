
impl OverflowPolicy for PluginType {
    fn overflow(
        &self,
        _request: &Request,
        excluded: &[Excluded],
        backends: &[BackendState],
    ) -> Overflow {
        let open = |index: &u32| {
            backends[*index as usize].usable() && excluded.iter().all(|e| e.backend != *index)
        };
        // Without any backend left this refuses, and the client is told why.
        Overflow::spill(self.order.iter().copied().filter(open)).because("spilled in order")
    }
}
