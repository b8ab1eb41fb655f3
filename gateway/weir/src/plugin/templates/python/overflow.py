

class Overflow(exports.Overflow):
    def overflow(self, request, excluded, backends):
        barred = [entry.backend for entry in excluded]
        candidates = [i for i in ORDER if usable(backends[i]) and i not in barred]
        answers = exports.overflow
        if candidates:
            verdict = answers.Verdict_Spill(answers.Spilling(candidates))
        else:
            verdict = answers.Verdict_Refuse()
        return answers.Decision(verdict, "spilled in order")
