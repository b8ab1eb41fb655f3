use super::SimFs;
use crate::fs::layer::FileLayer as _;
use bytes::Bytes;

fn write(fs: &SimFs, path: &str, bytes: &'static [u8]) {
    let mut file = fs.create(path).expect("create");
    file.append(&[Bytes::from_static(bytes)]).expect("append");
}

fn read(fs: &SimFs, path: &str) -> Option<Vec<u8>> {
    let file = fs.open(path).ok()?;
    let mut bytes = vec![0; file.len().expect("len") as usize];
    file.read_at(&mut bytes, 0).expect("read");
    Some(bytes)
}

#[test]
fn what_is_synced_survives_every_crash() {
    for seed in 0..200 {
        let fs = SimFs::new();
        fs.make_folder("d").expect("make");
        write(&fs, "d/a", b"bytes");
        fs.open("d/a").expect("open").sync("s").expect("sync");
        fs.sync_folder("d", "s").expect("sync");
        fs.sync_folder("", "s").expect("sync");
        assert_eq!(
            read(&fs.crash(seed), "d/a").as_deref(),
            Some(&b"bytes"[..]),
            "seed {seed}"
        );
    }
}

#[test]
fn what_is_not_synced_is_lost_by_some_crash_and_kept_by_another() {
    // Leaves out one of the three syncs and counts in how many crashes the bytes survive.
    for left_out in ["bytes", "name", "folder"] {
        let mut kept = 0;
        for seed in 0..200 {
            let fs = SimFs::new();
            fs.ignore_sync(left_out);
            fs.make_folder("d").expect("make");
            write(&fs, "d/a", b"bytes");
            fs.open("d/a").expect("open").sync("bytes").expect("sync");
            fs.sync_folder("d", "name").expect("sync");
            fs.sync_folder("", "folder").expect("sync");
            kept += u32::from(read(&fs.crash(seed), "d/a").as_deref() == Some(b"bytes"));
        }
        assert!(
            (1..200).contains(&kept),
            "without {left_out}: kept in {kept} of 200"
        );
    }
}

#[test]
fn a_rename_is_kept_or_lost_as_a_whole() {
    for seed in 0..200 {
        let fs = SimFs::new();
        fs.make_folder("a").expect("make");
        fs.make_folder("b").expect("make");
        fs.make_folder("a/x").expect("make");
        for folder in ["", "a", "b"] {
            fs.sync_folder(folder, "s").expect("sync");
        }
        fs.rename("a/x", "b/x").expect("rename");
        let fs = fs.crash(seed);
        let found = ["a/x", "b/x"].map(|path| fs.read_folder(path).is_ok());
        assert_eq!(
            found.iter().filter(|there| **there).count(),
            1,
            "seed {seed}: {found:?}"
        );
    }
}

#[test]
fn handles_from_before_a_crash_are_dead() {
    let fs = SimFs::new();
    write(&fs, "a", b"x");
    let file = fs.open("a").expect("open");
    let after = fs.kill();
    assert!(file.len().is_err());
    assert!(fs.read_folder("").is_err());
    assert_eq!(
        read(&after, "a").as_deref(),
        Some(&b"x"[..]),
        "a kill loses nothing"
    );
}

#[test]
fn power_goes_after_the_given_number_of_calls() {
    let fs = SimFs::new();
    fs.die_after(2);
    assert!(fs.make_folder("a").is_ok());
    assert!(fs.make_folder("b").is_ok());
    assert!(!fs.is_dead());
    assert!(fs.make_folder("c").is_err());
    assert!(fs.is_dead());
    assert!(!fs.crash(1).is_dead());
}

#[test]
fn random_access_files_keep_synced_pages_and_may_tear_others() {
    let mut torn = 0;
    for seed in 0..100 {
        let fs = SimFs::new();
        let file = fs.file("store").expect("file");
        file.set_len(4096).expect("set_len");
        file.write_at(0, &[1; 2048]).expect("write");
        file.sync("s").expect("sync");
        file.write_at(1024, &[2; 1024]).expect("write");
        let fs = fs.crash(seed);
        let file = fs.file("store").expect("file");
        assert_eq!(file.len().expect("len"), 4096);
        let mut page = [0; 2048];
        file.read_at(0, &mut page).expect("read");
        assert_eq!(
            page[..1024],
            [1; 1024],
            "what was synced and not written since"
        );
        let new = page[1024..].iter().filter(|b| **b == 2).count();
        torn += u32::from(new == 512);
        assert!(
            file.read_at(4000, &mut [0; 97]).is_err(),
            "a read past the end"
        );
    }
    assert!(torn > 10, "torn in {torn} of 100");
}
