
impl PlacementPolicy for PluginType {
    fn place(&self, request: &Request, backends: &[BackendState]) -> Placement {
        let mut candidates = self.order.clone();
        // A stable sort: only what takes no writes moves to the end.
        candidates.sort_by_key(|index| !backends[*index as usize].usable());
        Placement::new(candidates, request).because("preferred backends first")
    }
}
