use weir_plugin_sdk::{CopyState, testing};

use super::*;

/// a and b fail together, c and d each alone.
fn facts() -> Facts {
    let mut facts = testing::facts(&["a", "b", "c", "d"]);
    for backend in &mut facts.backends[..2] {
        backend.failure_domain = Some("rack-1".to_owned());
    }
    facts
}

fn mirror(settings: &str) -> Mirror {
    Mirror::configure(settings, facts()).expect("settings of the table are right")
}

#[test]
fn one_backend_of_each_domain_first() {
    type Change = fn(&mut [BackendState]);
    let none: Change = |_| ();
    for (settings, entropy, change, candidates, copies) in [
        ("{}", 0, none, [0, 2, 3, 1], 2),
        ("{}", 1, none, [1, 2, 3, 0], 2),
        ("{}", 3, none, [3, 0, 2, 1], 2),
        (r#"{"copies": 3}"#, 0, none, [0, 2, 3, 1], 3),
        (
            "{}",
            0,
            |states| (states[0].used_bytes, states[0].limit_bytes) = (5, Some(10)),
            [1, 2, 3, 0],
            2,
        ),
        (
            "{}",
            0,
            |states| states[2].writable = false,
            [0, 3, 1, 2],
            2,
        ),
    ] {
        let mut states = testing::states(4);
        change(&mut states);
        let mut request = testing::request("bucket", "key");
        request.entropy = entropy;
        let placement = mirror(settings).place(&request, &states);
        assert_eq!(placement.candidates, candidates, "{settings} {entropy}");
        assert_eq!((placement.copies, placement.ack), (copies, 1));
    }
}

#[test]
fn repairs_towards_distinct_domains() {
    for (name, copies, suspect, wanted, add, drop) in [
        ("well", &[0, 2][..], None, 2, &[][..], &[][..]),
        ("one is missing", &[0], None, 2, &[2], &[]),
        ("two share a domain", &[0, 1], None, 2, &[2], &[1]),
        ("one is suspect", &[0, 2], Some(2), 2, &[3], &[2]),
        ("one too many", &[0, 2, 3], None, 2, &[], &[3]),
        ("more than domains", &[0, 2, 3], None, 4, &[1], &[]),
    ] {
        let mut object = testing::object("bucket", "key", copies);
        object.copies_wanted = wanted;
        for copy in &mut object.copies {
            if Some(copy.backend) == suspect {
                copy.state = CopyState::Suspect;
            }
        }
        let mut states = testing::states(4);
        if let Some(suspect) = suspect {
            // Where a copy went bad no new one should go at once.
            states[suspect as usize].writable = false;
        }
        let answer = mirror("{}").replicate(&object, &states);
        let added: Vec<_> = answer.add.iter().map(|addition| addition.backend).collect();
        assert_eq!((&added[..], &answer.drop[..]), (add, drop), "{name}");
    }
}

#[test]
fn more_copies_than_domains_are_a_mistake() {
    let mistakes = Mirror::configure(r#"{"copies": 4, "spare": 1}"#, facts());
    let mistakes = mistakes.expect_err("two mistakes");
    let paths: Vec<_> = mistakes.iter().map(|m| m.path.as_str()).collect();
    assert_eq!(paths, ["/copies", "/spare"]);
    assert_eq!(
        mistakes[0].message,
        "4 copies need 4 failure domains, not 3"
    );
}
