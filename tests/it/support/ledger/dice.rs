//! Chance that can be repeated: a seeded generator and the zipf distribution of keys.

/// `SplitMix64`: small, and good enough to choose rows.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    #[must_use]
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// `low ..= high`, evenly.
    pub(crate) fn between(&mut self, low: usize, high: usize) -> usize {
        low + (self.next() % (high - low + 1) as u64) as usize
    }

    /// True in `percent` of 100 cases.
    pub(crate) fn chance(&mut self, percent: f64) -> bool {
        self.fraction() * 100.0 < percent
    }

    /// `0.0 .. 1.0`
    pub(crate) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }
}

/// Key 0 is twice as frequent as key 1, three times as key 2 …
#[derive(Debug, Clone)]
pub(crate) struct Zipf(Vec<f64>);

impl Zipf {
    #[must_use]
    pub(crate) fn over(keys: usize) -> Self {
        let mut sum = 0.0;
        Self(
            (1..=keys)
                .map(|rank| {
                    sum += 1.0 / rank as f64;
                    sum
                })
                .collect(),
        )
    }

    pub(crate) fn pick(&self, dice: &mut Dice) -> usize {
        let at = dice.fraction() * self.0[self.0.len() - 1];
        self.0.partition_point(|sum| *sum <= at).min(self.0.len() - 1)
    }
}

#[test]
fn zipf_prefers_the_first_key_and_reaches_the_last() {
    let (zipf, mut dice) = (Zipf::over(50), Dice::new(7));
    let mut counts = [0_usize; 50];
    for _ in 0..50_000 {
        counts[zipf.pick(&mut dice)] += 1;
    }
    assert!(counts[0] > counts[1] && counts[1] > counts[9], "{counts:?}");
    assert!(counts[49] > 0, "{counts:?}");
}
