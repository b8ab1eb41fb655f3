//! The one place where randomness is drawn.

use parking_lot::Mutex;

/// Source of random bits.
pub trait Entropy: Send + Sync + 'static {
    /// Fills `out` with random bytes.
    fn fill(&self, out: &mut [u8]);

    /// 128 random bits.
    fn u128(&self) -> u128 {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        u128::from_le_bytes(bytes)
    }

    /// 64 random bits.
    fn u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}

/// The operating system's generator, read in blocks so that minting an id costs no
/// system call.
#[derive(Debug)]
pub struct SystemEntropy {
    pool: Mutex<Pool>,
}

const POOL_BYTES: usize = 4096;

#[derive(Debug)]
struct Pool {
    bytes: Box<[u8; POOL_BYTES]>,
    used: usize,
}

impl Default for SystemEntropy {
    fn default() -> Self {
        let pool = Pool {
            bytes: Box::new([0; POOL_BYTES]),
            used: POOL_BYTES,
        };
        Self {
            pool: Mutex::new(pool),
        }
    }
}

impl Entropy for SystemEntropy {
    fn fill(&self, out: &mut [u8]) {
        if out.len() > POOL_BYTES {
            system_fill(out);
            return;
        }
        let mut pool = self.pool.lock();
        if POOL_BYTES - pool.used < out.len() {
            system_fill(&mut pool.bytes[..]);
            pool.used = 0;
        }
        let from = pool.used;
        let until = from + out.len();
        out.copy_from_slice(&pool.bytes[from..until]);
        // Handed out once: a later read of this memory must not reveal it.
        pool.bytes[from..until].fill(0);
        pool.used = until;
    }
}

#[allow(clippy::disallowed_methods)] // the one reader of the system's generator
fn system_fill(out: &mut [u8]) {
    getrandom::fill(out).expect("the operating system's random generator works once booted");
}

/// A seeded generator (SplitMix64) for tests, models and simulation. Not for secrets.
#[derive(Debug)]
pub struct SeededEntropy(Mutex<u64>);

impl SeededEntropy {
    /// A generator whose whole output follows from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, out: &mut [u8]) {
        let mut state = self.0.lock();
        for chunk in out.chunks_mut(8) {
            *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = *state;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^= z >> 31;
            chunk.copy_from_slice(&z.to_le_bytes()[..chunk.len()]);
        }
    }
}
