//! The word that somebody probably meant.

/// The candidate nearest to `word`, if one is near enough to be a slip of the finger, or one
/// that `word` begins.
pub(crate) fn did_you_mean<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let near = |candidate: &&'a str| (distance(word, candidate), *candidate);
    let (distance, nearest) = candidates.iter().map(near).min()?;
    let slip = distance <= 1 + word.len().min(nearest.len()) / 4;
    // `secret` for `secret_file`: its first part.
    let begun = |candidate: &&&str| {
        candidate
            .strip_prefix(word)
            .is_some_and(|rest| rest.starts_with('_'))
    };
    let begun = || candidates.iter().find(begun).copied();
    slip.then_some(nearest).or_else(begun)
}

/// Edits between two words: insert, remove, replace, swap neighbours (restricted
/// Damerau-Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<_>, Vec<_>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::did_you_mean;

    #[test]
    fn slips_are_recognised_and_strangers_are_not() {
        let words = ["region", "read_only", "bytes_max", "secret_file"];
        for (word, near) in [
            ("regoin", Some("region")),
            ("readonly", Some("read_only")),
            ("byte_max", Some("bytes_max")),
            ("secretfile", Some("secret_file")),
            ("secret", Some("secret_file")),
            ("sec", None),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(did_you_mean(word, &words), near, "{word}");
        }
    }
}
