//! Finite jobs of an operator: doctor, retention, letters.
