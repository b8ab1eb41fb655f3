

class ReadRouting(exports.ReadRouting):
    def route(self, read, backends):
        order = sorted(
            read.copies,
            key=lambda index: (backends[index].health.value, backends[index].latency_us),
        )
        return exports.read_routing.Decision(order, None)
