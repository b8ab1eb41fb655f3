

class Replication(exports.Replication):
    def replicate(self, object, backends):
        answers = exports.replication
        good = [copy.backend for copy in object.copies if copy.state == answers.CopyState.GOOD]
        candidates = [i for i in object.candidates if i in good or usable(backends[i])]
        wanted = candidates[: object.copies_wanted]
        return answers.Decision(
            add=[answers.Addition(i, 0, 0) for i in wanted if i not in good],
            drop=[copy.backend for copy in object.copies if copy.backend not in wanted],
            reason="where placement wants them",
        )
