//! Resident memory over many swaps. A process of its own, because other tests
//! would show in the numbers.

use weir_policy::{Limits, PolicyHost};

#[path = "all/support.rs"]
mod support;

use support::{Guest, facts, input, states};

#[test]
fn memory_is_flat_over_many_swaps() {
    let host = PolicyHost::new(Limits {
        instances_per_revision: 4,
        ..Limits::default()
    })
    .expect("the engine starts");
    let states = states(4);
    let mut swap = |salt| {
        let component = Guest {
            salt,
            ..Guest::default()
        }
        .build();
        let id = host
            .load("b", &component, None, "{}", &facts(4))
            .expect("loads");
        host.activate("b", id).expect("is loaded");
        host.place("b", &input("k", &states)).expect("decides");
    };
    (0..100).for_each(&mut swap);
    let before = resident_bytes();
    (100..400).for_each(&mut swap);
    let grown = resident_bytes().saturating_sub(before);
    // 300 leaked revisions would be 300 x 4 instances of 64 KiB and more.
    assert!(grown < 24 << 20, "{grown} bytes");
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    pages.expect("the second field") * 4096
}
