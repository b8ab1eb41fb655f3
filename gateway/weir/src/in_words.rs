//! Questions to policies and their answers, as a person reads them.

use weir_policy::{Answer, OwnedInput, StaticFacts, Verdict};

/// What a question is about: `bucket/key`, control characters escaped, and its bytes.
pub fn subject(input: &OwnedInput) -> (String, u64) {
    let (bucket, key, bytes) = match input {
        OwnedInput::Placement(input) => {
            let request = &input.request;
            (
                &request.bucket,
                &request.key,
                request.size_bytes.unwrap_or(0),
            )
        }
        OwnedInput::Overflow(input) => {
            let request = &input.request;
            (
                &request.bucket,
                &request.key,
                request.size_bytes.unwrap_or(0),
            )
        }
        OwnedInput::Replication(input) => {
            let object = &input.object;
            (&object.bucket, &object.key, object.size_bytes)
        }
        OwnedInput::ReadRouting(input) => {
            let read = &input.read;
            (&read.bucket, &read.key, read.length_bytes)
        }
    };
    (format!("{bucket}/{}", key.escape_debug()), bytes)
}

/// What an answer says, in one line.
pub fn answer(answer: &Answer, facts: &StaticFacts) -> String {
    let names = |indices: &[u32]| names(indices, facts);
    match answer {
        Answer::Placement(a) => {
            let copies = counted(u64::from(a.copies), "copy", "copies");
            format!("{copies} on {} ({})", names(&a.candidates), a.reason)
        }
        Answer::Overflow(a) => {
            let verdict = match &a.verdict {
                Verdict::Spill(to) => format!("spill to {}", names(to)),
                Verdict::Refuse => "refuse".to_owned(),
                Verdict::MakeRoom {
                    evictions,
                    meanwhile,
                } => {
                    let moves = counted(evictions.len() as u64, "move", "moves");
                    format!("make room by {moves}, meanwhile {}", names(meanwhile))
                }
            };
            format!("{verdict} ({})", a.reason)
        }
        Answer::Replication(a) => {
            let add: Vec<u32> = a.add.iter().map(|add| add.backend).collect();
            format!(
                "add {}, drop {} ({})",
                names(&add),
                names(&a.drop),
                a.reason
            )
        }
        Answer::ReadRouting(a) => {
            let hedge = a
                .hedge_after_us
                .map_or(String::new(), |us| format!(", the next after {us} µs"));
            format!("read {}{hedge}", names(&a.order))
        }
    }
}

/// The names of backends; `nowhere` for none.
fn names(indices: &[u32], facts: &StaticFacts) -> String {
    if indices.is_empty() {
        return "nowhere".to_owned();
    }
    let names: Vec<_> = indices.iter().map(|&index| name(index, facts)).collect();
    names.join(", ")
}

/// The name of a backend.
pub fn name(index: u32, facts: &StaticFacts) -> String {
    let backend = facts.backends.get(index as usize);
    backend.map_or_else(|| format!("backend {index}"), |backend| backend.id.clone())
}

/// `1 copy`, `2 copies`.
pub fn counted(count: u64, one: &str, many: &str) -> String {
    let word = if count == 1 { one } else { many };
    format!("{count} {word}")
}
