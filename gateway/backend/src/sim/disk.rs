//! Files and folders, each once as the cache and once as the platter has it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;

use weir_types::entropy::{Entropy as _, SeededEntropy};

use crate::fs::layer::FolderEntry;

/// What a disk writes wholly or not at all.
const SECTOR_BYTES: usize = 512;

/// Number of a file or folder.
pub(super) type Inode = u64;

const ROOT: Inode = 0;

/// A file's bytes.
#[derive(Default)]
pub(super) struct File {
    cached: Vec<u8>,
    durable: Vec<u8>,
    /// Sectors that may differ between the two.
    dirty: BTreeSet<usize>,
    /// Bytes that room was set aside for.
    allocated: usize,
}

impl File {
    pub(super) fn len(&self) -> usize {
        self.cached.len()
    }

    /// Bytes that it takes of the disk.
    pub(super) fn room(&self) -> usize {
        self.cached.len().max(self.allocated)
    }

    pub(super) fn allocate(&mut self, bytes: usize) {
        self.allocated = self.allocated.max(bytes);
    }

    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) -> usize {
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(self.cached.len());
        let bytes = buffer.len().min(self.cached.len() - start);
        buffer[..bytes].copy_from_slice(&self.cached[start..start + bytes]);
        bytes
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if end > self.cached.len() {
            self.set_len(end);
        }
        self.cached[offset..end].copy_from_slice(bytes);
        self.touch(offset, end);
    }

    pub(super) fn set_len(&mut self, len: usize) {
        let (low, high) = (len.min(self.cached.len()), len.max(self.cached.len()));
        self.cached.resize(len, 0);
        self.touch(low, high);
    }

    fn touch(&mut self, start: usize, end: usize) {
        if start < end {
            self.dirty
                .extend(start / SECTOR_BYTES..=(end - 1) / SECTOR_BYTES);
        }
    }

    pub(super) fn sync(&mut self) {
        self.durable.resize(self.cached.len(), 0);
        for sector in std::mem::take(&mut self.dirty) {
            self.keep(sector);
        }
    }

    /// Carries one sector to the platter, as far as the platter's length goes.
    fn keep(&mut self, sector: usize) {
        let start = sector * SECTOR_BYTES;
        let end = (start + SECTOR_BYTES)
            .min(self.cached.len())
            .min(self.durable.len());
        if start < end {
            self.durable[start..end].copy_from_slice(&self.cached[start..end]);
        }
    }

    fn crash(&mut self, dice: &SeededEntropy) {
        self.allocated = 0;
        if self.dirty.is_empty() && self.cached.len() == self.durable.len() {
            return;
        }
        let (low, high) = (
            self.cached.len().min(self.durable.len()),
            self.cached.len().max(self.durable.len()),
        );
        let len = match dice.u64() % 4 {
            0 => self.durable.len(),
            1 => low + dice.u64() as usize % (high - low + 1),
            _ => self.cached.len(),
        };
        self.durable.resize(len, 0);
        for sector in std::mem::take(&mut self.dirty) {
            if dice.u64().is_multiple_of(2) {
                self.keep(sector);
            }
        }
        self.cached.clone_from(&self.durable);
    }
}

#[derive(Default)]
struct Folder {
    cached: BTreeMap<String, Inode>,
    durable: BTreeMap<String, Inode>,
}

enum Node {
    File(File),
    Folder(Folder),
}

/// A place for a name: folder and name in it.
type Place = (Inode, String);

/// A change of names that is not on the platter yet.
struct Pending {
    /// Where a name goes away.
    from: Option<Place>,
    /// Where a name comes to stand for `inode`.
    to: Option<(Place, Inode)>,
}

impl Pending {
    fn places(&self) -> impl Iterator<Item = &Place> {
        self.from
            .iter()
            .chain(self.to.iter().map(|(place, _)| place))
    }
}

/// The whole disk.
pub(super) struct Disk {
    nodes: HashMap<Inode, Node>,
    pending: Vec<Pending>,
    next: Inode,
}

impl Default for Disk {
    fn default() -> Self {
        let nodes = HashMap::from([(ROOT, Node::Folder(Folder::default()))]);
        Self {
            nodes,
            pending: Vec::new(),
            next: ROOT + 1,
        }
    }
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Disk {
    pub(super) fn find(&self, path: &str) -> io::Result<Inode> {
        let mut at = ROOT;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            at = *self.folder(at)?.cached.get(name).ok_or_else(not_found)?;
        }
        Ok(at)
    }

    fn place(&self, path: &str) -> io::Result<Place> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let inode = self.find(folder)?;
        self.folder(inode)?;
        Ok((inode, name.to_owned()))
    }

    fn at(&self, (folder, name): &Place) -> io::Result<Option<Inode>> {
        Ok(self.folder(*folder)?.cached.get(name).copied())
    }

    fn folder(&self, inode: Inode) -> io::Result<&Folder> {
        match self.nodes.get(&inode) {
            Some(Node::Folder(folder)) => Ok(folder),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(not_found()),
        }
    }

    fn folder_mut(&mut self, inode: Inode) -> io::Result<&mut Folder> {
        match self.nodes.get_mut(&inode) {
            Some(Node::Folder(folder)) => Ok(folder),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(not_found()),
        }
    }

    pub(super) fn file(&self, inode: Inode) -> io::Result<&File> {
        match self.nodes.get(&inode) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Folder(_)) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(not_found()),
        }
    }

    pub(super) fn file_mut(&mut self, inode: Inode) -> io::Result<&mut File> {
        match self.nodes.get_mut(&inode) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Folder(_)) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(not_found()),
        }
    }

    /// Bytes that all files with a name in the cache take.
    pub(super) fn bytes(&self) -> u64 {
        let mut sum = 0;
        for node in self.nodes.values() {
            let Node::Folder(folder) = node else { continue };
            for inode in folder.cached.values() {
                sum += self.file(*inode).map_or(0, |file| file.room() as u64);
            }
        }
        sum
    }

    /// Changes names in the cache and notes that the platter does not know.
    fn change(&mut self, change: Pending) -> io::Result<()> {
        if let Some((folder, name)) = &change.from {
            self.folder_mut(*folder)?.cached.remove(name);
        }
        if let Some(((folder, name), inode)) = &change.to {
            self.folder_mut(*folder)?
                .cached
                .insert(name.clone(), *inode);
        }
        self.pending.push(change);
        Ok(())
    }

    fn new_node(&mut self, path: &str, node: Node) -> io::Result<Inode> {
        let place = self.place(path)?;
        if self.at(&place)?.is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = self.next;
        self.next += 1;
        self.nodes.insert(inode, node);
        self.change(Pending {
            from: None,
            to: Some((place, inode)),
        })?;
        Ok(inode)
    }

    pub(super) fn create(&mut self, path: &str) -> io::Result<Inode> {
        self.new_node(path, Node::File(File::default()))
    }

    pub(super) fn make_folder(&mut self, path: &str) -> io::Result<()> {
        self.new_node(path, Node::Folder(Folder::default()))
            .map(drop)
    }

    /// Finds or makes a file whose name is on the platter.
    pub(super) fn open_durable(&mut self, path: &str) -> io::Result<Inode> {
        match self.find(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let inode = self.create(path)?;
                let created = self.pending.pop();
                if let Some(change) = created {
                    self.persist(change);
                }
                Ok(inode)
            }
            found => found,
        }
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let (from, to) = (self.place(from)?, self.place(to)?);
        let inode = self.at(&from)?.ok_or_else(not_found)?;
        if let Some(target) = self.at(&to)?
            && self
                .folder(target)
                .is_ok_and(|folder| !folder.cached.is_empty())
        {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        self.change(Pending {
            from: Some(from),
            to: Some((to, inode)),
        })
    }

    pub(super) fn unlink(&mut self, path: &str) -> io::Result<()> {
        let place = self.place(path)?;
        let inode = self.at(&place)?.ok_or_else(not_found)?;
        self.file(inode)?;
        self.change(Pending {
            from: Some(place),
            to: None,
        })
    }

    pub(super) fn remove_folder(&mut self, path: &str) -> io::Result<()> {
        let place = self.place(path)?;
        let inode = self.at(&place)?.ok_or_else(not_found)?;
        if !self.folder(inode)?.cached.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        self.change(Pending {
            from: Some(place),
            to: None,
        })
    }

    pub(super) fn read_folder(&self, path: &str) -> io::Result<Vec<FolderEntry>> {
        let folder = self.folder(self.find(path)?)?;
        let entry = |(name, inode): (&String, &Inode)| FolderEntry {
            name: name.clone(),
            is_folder: self.folder(*inode).is_ok(),
        };
        Ok(folder.cached.iter().map(entry).collect())
    }

    /// Carries a folder's changes to the platter, or only checks that it could.
    pub(super) fn sync_folder(&mut self, path: &str, honoured: bool) -> io::Result<()> {
        let inode = self.find(path)?;
        self.folder(inode)?;
        if !honoured {
            return Ok(());
        }
        let touches = |change: &mut Pending| change.places().any(|(folder, _)| *folder == inode);
        let due: Vec<Pending> = self.pending.extract_if(.., touches).collect();
        for change in due {
            self.persist(change);
        }
        Ok(())
    }

    /// Carries one change to the platter. Older pending changes of the same names are
    /// overtaken by it.
    fn persist(&mut self, change: Pending) {
        for place in change.places() {
            self.pending.retain_mut(|older| {
                if older.from.as_ref() == Some(place) {
                    older.from = None;
                }
                if older.to.as_ref().is_some_and(|(to, _)| to == place) {
                    older.to = None;
                }
                older.from.is_some() || older.to.is_some()
            });
        }
        if let Some((folder, name)) = change.from
            && let Ok(folder) = self.folder_mut(folder)
        {
            folder.durable.remove(&name);
        }
        if let Some(((folder, name), inode)) = change.to
            && let Ok(folder) = self.folder_mut(folder)
        {
            folder.durable.insert(name, inode);
        }
    }

    /// Throws the cache away, but for what `seed` keeps of it.
    pub(super) fn crash(&mut self, seed: u64) {
        let dice = SeededEntropy::new(seed);
        // A disk that loses everything pending, or nothing, is as likely as one in between.
        let kept_of_8 = [0, 1, 4, 7, 8][dice.u64() as usize % 5];
        for change in std::mem::take(&mut self.pending) {
            if dice.u64() % 8 < kept_of_8 {
                self.persist(change);
            }
        }
        let mut inodes: Vec<Inode> = self.nodes.keys().copied().collect();
        inodes.sort_unstable();
        for inode in inodes {
            match self.nodes.get_mut(&inode) {
                Some(Node::File(file)) => file.crash(&dice),
                Some(Node::Folder(folder)) => folder.cached.clone_from(&folder.durable),
                None => {}
            }
        }
        self.forget_unnamed();
    }

    /// Frees what no name leads to.
    fn forget_unnamed(&mut self) {
        let mut reached = BTreeSet::from([ROOT]);
        let mut open = vec![ROOT];
        while let Some(inode) = open.pop() {
            let Ok(folder) = self.folder(inode) else {
                continue;
            };
            for child in folder.cached.values() {
                if reached.insert(*child) {
                    open.push(*child);
                }
            }
        }
        self.nodes.retain(|inode, _| reached.contains(inode));
    }
}
