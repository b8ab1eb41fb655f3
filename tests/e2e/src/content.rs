//! Bytes that say whose they are: from an object's number follow its length and every byte,
//! so that a reader can tell a torn or foreign body without having kept it.

use bytes::Bytes;

/// Length of the number that a body starts with; no body is shorter.
pub(crate) const HEAD_BYTES: u64 = 8;

const fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The 8 bytes at `8 * index`.
const fn word(id: u64, index: u64) -> [u8; 8] {
    if index == 0 {
        id.to_le_bytes()
    } else {
        mix(mix(id).wrapping_add(index)).to_le_bytes()
    }
}

/// The bytes of object `id` from `start` to before `end`.
pub(crate) fn slice(id: u64, start: u64, end: u64) -> Bytes {
    let mut out = Vec::with_capacity(usize::try_from(end.saturating_sub(start)).unwrap_or(0) + 16);
    for index in start / 8..end.div_ceil(8) {
        out.extend_from_slice(&word(id, index));
    }
    let skip = usize::try_from(start % 8).unwrap_or(0);
    let length = usize::try_from(end - start).unwrap_or(usize::MAX);
    Bytes::from(out).slice(skip..skip + length)
}

/// Whether `bytes` are those of object `id` from `start` on.
pub(crate) fn matches(id: u64, start: u64, bytes: &[u8]) -> bool {
    let end = start + bytes.len() as u64;
    slice(id, start, end)[..] == *bytes
}

/// The number that a body starts with.
pub(crate) fn id_of(body: &[u8]) -> Option<u64> {
    let (head, _) = body.split_first_chunk::<8>()?;
    Some(u64::from_le_bytes(*head))
}

/// The length of object `id`: mostly small, sometimes over several blocks.
pub(crate) const fn storm_bytes(id: u64) -> u64 {
    let draw = mix(id ^ 0x5157);
    let limit = match draw % 10 {
        0..=5 => 4 << 10,
        6..=8 => 300 << 10,
        _ => 1500 << 10,
    };
    HEAD_BYTES + mix(draw) % limit
}

/// What is wrong with `body` as a whole object of a storm; its number if nothing is.
pub(crate) fn identify(body: &[u8]) -> Result<u64, String> {
    let id = id_of(body).ok_or_else(|| format!("a body of {} bytes", body.len()))?;
    let length = storm_bytes(id);
    if body.len() as u64 != length {
        return Err(format!(
            "torn: {} bytes instead of {length} of object {id:x}",
            body.len()
        ));
    }
    if !matches(id, 0, body) {
        return Err(format!("torn: foreign bytes inside object {id:x}"));
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_agree_with_the_whole() {
        let whole = slice(7, 0, 1000);
        for (start, end) in [(0, 1), (0, 8), (3, 9), (8, 16), (13, 999), (1000, 1000)] {
            let (from, to) = (
                usize::try_from(start).expect("small"),
                usize::try_from(end).expect("small"),
            );
            assert_eq!(slice(7, start, end), whole[from..to], "{start}..{end}");
            assert!(matches(7, start, &whole[from..to]));
        }
    }

    #[test]
    fn torn_bodies_are_noticed() {
        let id = 42;
        let body = slice(id, 0, storm_bytes(id)).to_vec();
        assert_eq!(identify(&body), Ok(id));
        assert!(identify(&body[..body.len() - 1]).is_err());
        assert!(identify(&[]).is_err());
        let mut spliced = body;
        let last = spliced.len() - 1;
        spliced[last] ^= 1;
        assert!(identify(&spliced).is_err());
    }
}
