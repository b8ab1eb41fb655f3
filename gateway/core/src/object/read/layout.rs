//! Where a blob's blocks begin and end.

use std::ops::Range;

use weir_types::id::PartNumber;
use weir_types::record::{BLOCK_BYTES, BlobRecord};

/// A blob's segments, by their positions in the blob. Blocks are counted anew in each.
pub(super) struct Layout {
    /// Part number and end of each segment, in order.
    segments: Vec<(PartNumber, u64)>,
}

/// One block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    /// Position of its segment.
    pub(super) segment: usize,
    /// Its number within the segment.
    pub(super) index: u64,
    /// Its first byte in the blob.
    pub(super) start: u64,
    /// The byte after its last.
    pub(super) end: u64,
}

impl Layout {
    pub(super) fn of(blob: &BlobRecord) -> Self {
        if blob.segments.is_empty() {
            return Self {
                segments: vec![(PartNumber::FIRST, blob.size)],
            };
        }
        let mut end = 0;
        let ends = |&(number, length): &(PartNumber, u64)| {
            end += length;
            (number, end)
        };
        Self {
            segments: blob.segments.iter().map(ends).collect(),
        }
    }

    /// The block that holds the byte at `position`, which lies within the blob.
    pub(super) fn block_at(&self, position: u64) -> Block {
        let segment = self.segments.partition_point(|&(_, end)| end <= position);
        let Range { start, end } = self.bounds(segment);
        let index = (position - start) / BLOCK_BYTES;
        let first = start + index * BLOCK_BYTES;
        Block {
            segment,
            index,
            start: first,
            end: (first + BLOCK_BYTES).min(end),
        }
    }

    /// The part number under which a segment's CRCs are kept.
    pub(super) fn number(&self, segment: usize) -> PartNumber {
        self.segments[segment].0
    }

    fn bounds(&self, segment: usize) -> Range<u64> {
        let start = segment
            .checked_sub(1)
            .map_or(0, |before| self.segments[before].1);
        start..self.segments[segment].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(segments: &[u64]) -> Layout {
        let mut end = 0;
        let ends = segments.iter().zip(1..).map(|(length, number)| {
            end += length;
            (PartNumber::new(number).expect("small"), end)
        });
        Layout {
            segments: ends.collect(),
        }
    }

    #[test]
    fn blocks_start_anew_in_each_segment() {
        const B: u64 = BLOCK_BYTES;
        type Case = (&'static [u64], u64, (usize, u64, u64, u64));
        let cases: &[Case] = &[
            (&[10], 0, (0, 0, 0, 10)),
            (&[10], 9, (0, 0, 0, 10)),
            (&[B], B - 1, (0, 0, 0, B)),
            (&[B + 1], B, (0, 1, B, B + 1)),
            (&[3 * B], 2 * B + 5, (0, 2, 2 * B, 3 * B)),
            (&[B + 7, 2 * B], B + 6, (0, 1, B, B + 7)),
            (&[B + 7, 2 * B], B + 7, (1, 0, B + 7, 2 * B + 7)),
            (&[B + 7, 2 * B], 2 * B + 7, (1, 1, 2 * B + 7, 3 * B + 7)),
            (&[5, 0, 5], 5, (2, 0, 5, 10)),
        ];
        for &(segments, position, (segment, index, start, end)) in cases {
            let want = Block {
                segment,
                index,
                start,
                end,
            };
            assert_eq!(
                layout(segments).block_at(position),
                want,
                "{segments:?} at {position}"
            );
        }
    }
}
