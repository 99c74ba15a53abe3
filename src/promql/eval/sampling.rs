//! The choice of series of `limit_ratio`: as in Prometheus, by the hash of their labels.

use super::column::Metric;

const PRIMES: [u64; 5] = [
    11_400_714_785_074_694_791,
    14_029_467_366_897_019_727,
    1_609_587_929_392_839_161,
    9_650_029_242_287_828_579,
    2_870_177_450_012_600_261,
];

/// The place of a label set between 0 and 1, evenly spread: the XXH64 of Prometheus's labels as
/// they lie in memory, each text after its length.
pub fn offset(metric: &Metric) -> f64 {
    let mut bytes = Vec::with_capacity(256);
    for text in metric.iter().flat_map(|(name, value)| [name, value]) {
        match u8::try_from(text.len()) {
            Ok(length) if length < u8::MAX => bytes.push(length),
            _ => {
                bytes.push(u8::MAX);
                bytes.extend_from_slice(&(text.len() as u32).to_le_bytes()[..3]);
            }
        }
        bytes.extend_from_slice(text.as_bytes());
    }
    xxh64(&bytes) as f64 / u64::MAX as f64
}

/// XXH64 with the seed 0. The feature of the crate `xxhash-rust` that has it would make all of
/// polars compile again.
fn xxh64(bytes: &[u8]) -> u64 {
    let [p1, p2, p3, p4, p5] = PRIMES;
    let round = |lane: u64, input: u64| {
        lane.wrapping_add(input.wrapping_mul(p2)).rotate_left(31).wrapping_mul(p1)
    };
    let (stripes, mut rest) = bytes.as_chunks::<32>();
    let mut hash = p5;
    if !stripes.is_empty() {
        let mut lanes = [p1.wrapping_add(p2), p2, 0, 0_u64.wrapping_sub(p1)];
        for stripe in stripes {
            for (lane, word) in lanes.iter_mut().zip(stripe.as_chunks::<8>().0) {
                *lane = round(*lane, u64::from_le_bytes(*word));
            }
        }
        hash = 0;
        for (lane, turn) in lanes.into_iter().zip([1, 7, 12, 18]) {
            hash = hash.wrapping_add(lane.rotate_left(turn));
        }
        for lane in lanes {
            hash = (hash ^ round(0, lane)).wrapping_mul(p1).wrapping_add(p4);
        }
    }
    hash = hash.wrapping_add(bytes.len() as u64);
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        hash = (hash ^ round(0, u64::from_le_bytes(*word))).rotate_left(27);
        hash = hash.wrapping_mul(p1).wrapping_add(p4);
        rest = after;
    }
    if let Some((word, after)) = rest.split_first_chunk::<4>() {
        hash ^= u64::from(u32::from_le_bytes(*word)).wrapping_mul(p1);
        hash = hash.rotate_left(23).wrapping_mul(p2).wrapping_add(p3);
        rest = after;
    }
    for byte in rest {
        hash = (hash ^ u64::from(*byte).wrapping_mul(p5)).rotate_left(11).wrapping_mul(p1);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(p2);
    hash = (hash ^ (hash >> 29)).wrapping_mul(p3);
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Labels;

    #[test]
    fn hashes_are_those_of_xxhash() {
        assert_eq!(xxh64(b""), 0xef46_db37_51d8_e999);
        assert_eq!(xxh64(b"a"), 0xd24e_c4f1_a98c_6e5b);
        assert_eq!(xxh64(b"abc"), 0x44bc_2cf5_ad77_0999);
        let long = b"Nobody inspects the spammish repetition, nobody at all";
        assert_eq!(xxh64(&long[..39]), 0xfbce_a83c_8a37_8bf1);
    }

    #[test]
    fn offsets_lie_between_zero_and_one() {
        let one = offset(&Metric::made(Labels::from_pairs(&[("a", "1")])));
        let long = "x".repeat(300);
        let other = offset(&Metric::made(Labels::from_pairs(&[("a", &long)])));
        assert!((0.0..=1.0).contains(&one) && (0.0..=1.0).contains(&other) && one != other);
    }
}
