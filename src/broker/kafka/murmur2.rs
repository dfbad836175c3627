//! The partition of a key, as Java producers compute it.
//!
//! Promises: the same key and count give the partition that `org.apache.kafka.clients.producer` gives, so a topic may be
//! written by both, and a move from Debezium keeps every key where it is.

const SEED: u32 = 0x9747_b28c;
const M: u32 = 0x5bd1_e995;
const R: u32 = 24;

/// The partition of a key among `partitions`, which is at least 1.
pub(super) fn partition(key: &[u8], partitions: u32) -> u32 {
    (murmur2(key) & 0x7fff_ffff) % partitions.max(1)
}

fn murmur2(bytes: &[u8]) -> u32 {
    // Java's array length is an int: a key is shorter than 2 GiB.
    #[expect(clippy::cast_possible_truncation, reason = "a record is smaller than 2 GiB")]
    let mut hash = SEED ^ bytes.len() as u32;
    let mut words = bytes.chunks_exact(4);
    for word in words.by_ref() {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        k = (k ^ (k >> R)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (index, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * index);
        }
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thousand keys (ids, UUIDs, bytes of every length) and what Kafka 4.3.1's `Utils.toPositive(Utils.murmur2(key))`
    /// makes of them: hexadecimal key, hash.
    const JAVA: &str = include_str!("../../../tests/fixtures/murmur2.txt");

    fn bytes(hex: &str) -> Vec<u8> {
        let pairs = (0..hex.len()).step_by(2);
        pairs
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect()
    }

    #[test]
    fn a_thousand_keys_have_the_hash_that_java_gives_them() {
        assert_eq!(JAVA.lines().count(), 1000);
        for line in JAVA.lines() {
            let (key, hash) = line.split_once(' ').unwrap();
            let hash: u32 = hash.parse().unwrap();
            let key = bytes(key);
            assert_eq!(murmur2(&key) & 0x7fff_ffff, hash, "{line}");
            assert_eq!(partition(&key, 7), hash % 7, "{line}");
        }
    }
}
