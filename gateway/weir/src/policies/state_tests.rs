//! Moves between the places of a policy's revisions, and the file.

use super::*;

fn held(revision: &str) -> Held {
    Held {
        revision: revision.repeat(64 / revision.len()),
        component: Digest::of(revision.as_bytes()),
        settings: None,
        source: Source::Uploaded,
        describes: format!("{revision} 1"),
    }
}

fn places(state: &PolicyState) -> String {
    let place = |(word, held): (&str, &Held)| format!("{word} {}", &held.revision[..1]);
    state.all().map(place).collect::<Vec<_>>().join(", ")
}

#[test]
fn revisions_move_between_their_places() {
    let mut state = PolicyState::default();
    for name in ["a", "b", "c", "d", "e"] {
        state.wait(held(name));
    }
    assert_eq!(places(&state), "waiting e, waiting d, waiting c, waiting b");
    state.wait(held("b"));
    assert_eq!(places(&state), "waiting b, waiting e, waiting d, waiting c");
    let steps: &[(&str, &str)] = &[
        ("c", "active c, waiting b, waiting e, waiting d"),
        ("c", "active c, waiting b, waiting e, waiting d"),
        ("d", "active d, previous c, waiting b, waiting e"),
        // Back: the two change places.
        ("c", "active c, previous d, waiting b, waiting e"),
        ("c", "active c, previous d, waiting b, waiting e"),
    ];
    for (name, want) in steps {
        state.activate(held(name), Follows::Revision);
        assert_eq!(places(&state), *want);
    }
    let staged = |name| {
        Some(Staged {
            held: held(name),
            share_permille: 50,
        })
    };
    (state.shadow, state.canary) = (staged("b"), staged("e"));
    state.activate(held("e"), Follows::Configured);
    assert_eq!(places(&state), "active e, shadow b, previous c, waiting b");
    // The configuration's settings have changed: the same component is another revision.
    let renewed = Held {
        revision: "f".repeat(64),
        ..held("e")
    };
    state.activate(renewed, Follows::Configured);
    assert_eq!(places(&state), "active f, shadow b, previous c, waiting b");
}

#[test]
fn revisions_are_found_by_place_and_by_their_first_digits() {
    let mut state = PolicyState::default();
    for name in ["ab12", "ab13", "cafe"] {
        state.wait(held(name));
    }
    state.activate(held("cafe"), Follows::Revision);
    for (text, want) in [
        ("active", Ok("cafe")),
        ("latest", Ok("ab13")),
        ("ab12", Ok("ab12")),
        ("ab13ab13ab", Ok("ab13")),
        ("ab1", Err("there is no revision")),
        ("beef", Err("cafecafecafe (active)")),
        ("previous", Err("there is no revision")),
        ("", Err("there is no revision")),
    ] {
        match (state.find(text), want) {
            (Ok(found), Ok(want)) => assert!(found.revision.starts_with(want), "{text}"),
            (Err(why), Err(want)) => assert!(why.contains(want), "{text}: {why}"),
            (found, want) => panic!("{text}: {found:?} instead of {want:?}"),
        }
    }
    state.waiting[0].revision = format!("ab13{}", "0".repeat(60));
    assert!(
        state
            .find("ab13")
            .is_err_and(|why| why.contains("begins 2"))
    );
}

#[test]
fn the_file_comes_back_as_it_was_and_a_newer_one_is_refused() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let path = scratch.path().join("state.json");
    assert_eq!(State::read(&path).expect("none yet"), State::default());
    let mut policy = PolicyState::default();
    policy.activate(
        Held {
            settings: Some("{\"a\":1}".into()),
            ..held("a")
        },
        Follows::Source(Source::File("/x.wasm".into())),
    );
    policy.canary = Some(Staged {
        held: held("b"),
        share_permille: 5,
    });
    let state = State {
        format: FORMAT,
        audit_seq: 7,
        policies: BTreeMap::from([("p".to_owned(), policy)]),
    };
    state.write(&path).expect("written");
    assert_eq!(State::read(&path).expect("read"), state);
    assert_eq!(state.used().len(), 2);

    fs::write(&path, r#"{"format":2,"anything":[]}"#).expect("written");
    assert!(matches!(State::read(&path), Err(StateError::Newer(_, 2))));
    let text = serde_json::to_string(&state).expect("JSON");
    for length in [0, 1, text.len() / 2, text.len() - 1] {
        fs::write(&path, &text[..length]).expect("written");
        assert!(
            matches!(State::read(&path), Err(StateError::Damaged(..))),
            "{length}"
        );
    }
}
