

class Placement(exports.Placement):
    def place(self, request, backends):
        # A stable sort: only what takes no writes moves to the end.
        candidates = sorted(ORDER, key=lambda index: not usable(backends[index]))
        return exports.placement.Decision(
            candidates, request.copies, request.ack, "preferred backends first"
        )
