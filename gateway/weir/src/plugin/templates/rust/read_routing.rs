
impl ReadRoutingPolicy for PluginType {
    fn route(&self, read: &Read, backends: &[BackendState]) -> Route {
        let mut order = read.copies.clone();
        order.sort_by_key(|index| {
            let state = &backends[*index as usize];
            (state.health, state.latency_us)
        });
        Route::new(order)
    }
}
