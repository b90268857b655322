//! Chance. Everything that is left to it is given it, so that it can be had again.

use std::sync::Arc;

/// Fills bytes with chance; tells whether there was any.
type Source = dyn Fn(&mut [u8]) -> bool + Send + Sync;

/// Where chance comes from.
#[derive(Clone)]
pub struct Chance(Arc<Source>);

impl Chance {
    /// The system's.
    pub fn system() -> Self {
        Self::of(|bytes| aws_lc_rs::rand::fill(bytes).is_ok())
    }

    /// Another, which tells whether it could fill the bytes that it was given.
    pub fn of(source: impl Fn(&mut [u8]) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(source))
    }

    /// So many bytes; `None` where there is no chance.
    pub fn bytes<const N: usize>(&self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        (self.0)(&mut bytes).then_some(bytes)
    }

    /// A number in `0.0..1.0`.
    pub fn number(&self) -> f64 {
        // Without chance nothing is jittered, which harms nobody but the provider.
        let drawn = self.bytes().map(u32::from_be_bytes);
        drawn.map_or(0.5, |drawn| f64::from(drawn) / (f64::from(u32::MAX) + 1.0))
    }
}

impl std::fmt::Debug for Chance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Chance")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_below_one_whatever_is_drawn() {
        assert!(
            Chance::of(|bytes| {
                bytes.fill(0xff);
                true
            })
            .number()
                < 1.0
        );
        assert!(Chance::of(|_| true).number().abs() < f64::EPSILON);
        assert!((Chance::of(|_| false).number() - 0.5).abs() < f64::EPSILON);
        assert!((0.0..1.0).contains(&Chance::system().number()));
    }
}
