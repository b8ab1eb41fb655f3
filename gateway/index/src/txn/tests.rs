use std::collections::BTreeMap;

use weir_types::entropy::{Entropy, SeededEntropy};
use weir_types::index::{IndexError, Refusal};

use super::*;
use crate::store::{MemoryStore, Store};
use crate::testing::site;

/// A random overlay over a random base reads like the map that both together are.
#[test]
fn changes_over_a_snapshot_read_like_one_table() {
    for seed in 0..200 {
        let entropy = SeededEntropy::new(seed);
        let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        let mut base = Changes::default();
        for _ in 0..entropy.u64() % 12 {
            let (key, value) = (random_key(&entropy), random_key(&entropy));
            model.insert(key.clone(), value.clone());
            base.set(Table::Current, key, Some(value));
        }
        let store = MemoryStore::default();
        store.commit(&base).expect("memory does not fail");
        let snapshot = store.snapshot().expect("memory does not fail");
        let site = site();
        let mut txn = Txn::new(&snapshot, &site).expect("an empty store can be read");
        for _ in 0..entropy.u64() % 12 {
            let key = random_key(&entropy);
            if entropy.u64().is_multiple_of(3) {
                model.remove(&key);
                txn.delete(Table::Current, key);
            } else {
                model.insert(key.clone(), Vec::new());
                txn.put_key(Table::Current, key);
            }
        }

        for _ in 0..4 {
            let from = random_key(&entropy);
            let expected: Vec<_> = model
                .range(from.clone()..)
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect();
            assert_eq!(scanned(&txn, &from, None), expected, "seed {seed}");
            assert_eq!(
                txn.get(Table::Current, &from)
                    .expect("memory does not fail"),
                model.get(&from).cloned(),
                "seed {seed}"
            );

            let to = random_key(&entropy).max(from.clone());
            let mut expected = expected;
            if let Some((first, _)) = expected.first().cloned()
                && first < to
            {
                expected.retain(|(key, _)| *key == first || *key >= to);
            }
            assert_eq!(
                scanned(&txn, &from, Some(&to)),
                expected,
                "seed {seed}, seeking {to:?}"
            );
        }
    }
}

fn random_key(entropy: &SeededEntropy) -> Vec<u8> {
    let bits = entropy.u64();
    let length = 1 + bits % 2;
    (0..length)
        .map(|at| ((bits >> (8 + 8 * at)) % 4) as u8)
        .collect()
}

/// All rows from `from` on; after the first row the scan seeks to `seek`, if that is beyond it.
fn scanned(txn: &Txn<'_>, from: &[u8], seek: Option<&Vec<u8>>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    txn.scan(Table::Current, from, &mut |key, value| {
        found.push((key.to_vec(), value.to_vec()));
        Ok(match seek {
            Some(to) if found.len() == 1 && key < to.as_slice() => Step::Seek(to.clone()),
            _ => Step::Next,
        })
    })
    .expect("memory does not fail");
    found
}

#[test]
fn a_failed_attempt_takes_back_its_rows_and_counters_and_no_others() {
    let store = MemoryStore::default();
    let snapshot = store.snapshot().expect("memory does not fail");
    let site = site();
    let mut txn = Txn::new(&snapshot, &site).expect("an empty store can be read");
    txn.attempt(|txn| {
        txn.put_key(Table::Current, vec![1]);
        txn.next_seq();
        Ok(())
    })
    .expect("nothing fails here");
    let refused: Result<(), _> = txn.attempt(|txn| {
        txn.delete(Table::Current, vec![1]);
        txn.put_key(Table::Current, vec![2]);
        txn.put_key(Table::Current, vec![2]);
        txn.next_seq();
        txn.next_hlc(Timestamp::from_millis(5));
        Err(IndexError::Refused(Refusal::NoSuchKey))
    });
    assert_eq!(refused, Err(IndexError::Refused(Refusal::NoSuchKey)));
    assert_eq!(scanned(&txn, &[], None), vec![(vec![1], Vec::new())]);
    assert_eq!(txn.next_seq(), Seq(2));
    assert_eq!(txn.next_hlc(Timestamp::from_millis(1)).wall_ms, 1);
}
