
#[test]
fn a_missing_copy_is_made() {
    let policy = policy("{}").expect("no settings");
    let mut object = testing::object("bucket", "key", &[0]);
    (object.candidates, object.copies_wanted) = (vec![0, 1, 2], 2);
    let mut backends = testing::states(3);
    backends[1].writable = false;
    let answer = policy.replicate(&object, &backends);
    let added: Vec<_> = answer.add.iter().map(|addition| addition.backend).collect();
    assert_eq!((added, answer.drop), (vec![2], vec![]));
}
