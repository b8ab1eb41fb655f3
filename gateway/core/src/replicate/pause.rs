//! How long work is put off.

use std::time::Duration;

use weir_types::entropy::Entropy;

use crate::settings::Settings;

/// The pause after failure number `attempts` (from 0): doubles from the first to the longest,
/// and is shortened at random by up to half, so that what failed together is not tried
/// together.
pub(super) fn after_failure(settings: &Settings, entropy: &dyn Entropy, attempts: u32) -> Duration {
    let (first, longest) = settings.retry_pause;
    let factor = 1_u32.checked_shl(attempts.min(31)).unwrap_or(u32::MAX);
    jitter(first.saturating_mul(factor).min(longest), entropy)
}

/// The pause of work that has waited for `waited` for something that is not its fault: a
/// quarter of that again, between the first time a breaker stays open and the longest pause.
/// What waits long asks seldom, without a count of how often it asked.
pub(super) fn while_waiting(
    settings: &Settings,
    entropy: &dyn Entropy,
    waited: Duration,
) -> Duration {
    let shortest = settings.breaker_open.0;
    jitter(
        (waited / 4).clamp(shortest, settings.retry_pause.1.max(shortest)),
        entropy,
    )
}

/// Between half of `pause` and all of it.
fn jitter(pause: Duration, entropy: &dyn Entropy) -> Duration {
    let half = pause / 2;
    let span = u64::try_from(half.as_millis()).unwrap_or(u64::MAX).max(1);
    half + Duration::from_millis(entropy.u64() % span + 1).min(half)
}

#[cfg(test)]
mod tests {
    use weir_types::entropy::SeededEntropy;

    use super::*;

    #[test]
    fn pauses_grow_within_their_bounds() {
        let settings = Settings {
            retry_pause: (Duration::from_millis(200), Duration::from_secs(60)),
            breaker_open: (Duration::from_secs(1), Duration::from_secs(30)),
            ..Settings::default()
        };
        let entropy = SeededEntropy::new(7);
        let cases = [
            (0, 200),
            (1, 400),
            (5, 6400),
            (8, 51_200),
            (9, 60_000),
            (4_000, 60_000),
        ];
        for (attempts, most) in cases {
            for _ in 0..50 {
                let pause = after_failure(&settings, &entropy, attempts).as_millis();
                assert!(
                    (most / 2..=most).contains(&pause),
                    "attempt {attempts}: {pause} ms"
                );
            }
        }
        for (waited, most) in [(0, 1000), (3, 1000), (40, 10_000), (9_000, 60_000)] {
            for _ in 0..50 {
                let waited = Duration::from_secs(waited);
                let pause = while_waiting(&settings, &entropy, waited).as_millis();
                assert!(
                    (most / 2..=most).contains(&pause),
                    "waited {waited:?}: {pause} ms"
                );
            }
        }
    }
}
