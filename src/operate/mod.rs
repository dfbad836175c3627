//! Finite jobs of an operator: doctor, letters.
//!
//! Floor 4. They drive traits and know no vendor; what they report is values, rendered by `cli` and `app`.

pub mod doctor;
pub mod lanes;
pub mod letters;
