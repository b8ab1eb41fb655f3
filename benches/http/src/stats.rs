//! Medians and their intervals, without a guess at the distribution.

/// A median with a 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Median {
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// The median of `values` and the order statistics that enclose the true median with at
/// least 95 % confidence (the whole range for fewer than six values, which cannot).
/// `None` without values.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> Option<Median> {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let (first, last) = (*sorted.first()?, *sorted.last()?);
    let count = sorted.len();
    let value = (sorted[(count - 1) / 2] + sorted[count / 2]) / 2.0;
    Some(match rank(count) {
        Some(rank) => Median {
            value,
            low: sorted[rank],
            high: sorted[count - 1 - rank],
        },
        None => Median {
            value,
            low: first,
            high: last,
        },
    })
}

/// How many values can be left out at each end: the largest k for which fewer than k+1 heads
/// in `count` tosses of a coin have a probability of at most 2.5 %, less what k itself needs.
fn rank(count: usize) -> Option<usize> {
    let mut probability = 0.5_f64.powi(i32::try_from(count).ok()?);
    let mut below = 0.0;
    let mut found = None;
    for k in 0..count {
        below += probability;
        if below > 0.025 {
            break;
        }
        found = Some(k);
        probability *= (count - k) as f64 / (k + 1) as f64;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_the_binomial_table() {
        // Ranks (from one) of the sign test's two-sided 95 % interval.
        for (count, want) in [
            (5, None),
            (6, Some(1)),
            (8, Some(1)),
            (9, Some(2)),
            (15, Some(4)),
            (20, Some(6)),
            (25, Some(8)),
        ] {
            assert_eq!(rank(count).map(|k| k + 1), want, "{count} values");
        }
    }

    #[test]
    fn median_of_even_and_odd_counts() {
        let odd = median((1..=15).map(f64::from)).expect("there are values");
        assert_eq!(
            odd,
            Median {
                value: 8.0,
                low: 4.0,
                high: 12.0
            }
        );
        let even = median([4.0, 1.0, 3.0, 2.0]).expect("there are values");
        assert_eq!(
            even,
            Median {
                value: 2.5,
                low: 1.0,
                high: 4.0
            }
        );
        assert_eq!(median([]), None);
    }
}
