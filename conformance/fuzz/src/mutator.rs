use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

/// The longest input it makes.
const LONGEST: usize = 4096;

/// Numbers at which decoders err.
const EDGES: [u8; 12] = [0, 1, 2, 4, 0x0A, 0x0D, 0x20, 0x3A, 0x7F, 0x80, 0xFE, 0xFF];

/// Makes broken inputs of valid ones, the same ones for the same seed.
#[derive(Debug)]
pub struct Mutator {
    corpus: Vec<Vec<u8>>,
    random: SmallRng,
}

impl Mutator {
    /// Starts from these inputs.
    pub fn new(mut corpus: Vec<Vec<u8>>, seed: u64) -> Self {
        corpus.push(Vec::new());
        Self { corpus, random: SmallRng::seed_from_u64(seed) }
    }

    /// The next input: one of the corpus after one to six changes.
    pub fn next_input(&mut self) -> Vec<u8> {
        let mut input = self.pick();
        for _ in 0..self.random.random_range(1..=6) {
            self.change(&mut input);
        }
        input.truncate(LONGEST);
        input
    }

    fn pick(&mut self) -> Vec<u8> {
        self.corpus.choose(&mut self.random).cloned().unwrap_or_default()
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.random.random_range(0..=input.len());
        match self.random.random_range(0..9) {
            0 => self.overwrite(input, |byte, random| byte ^ (1 << random.random_range(0..8))),
            1 => self.overwrite(input, |_, random| random.random()),
            2 => self.overwrite(input, |_, random| *EDGES.choose(random).unwrap_or(&0)),
            3 => self.overwrite(input, |byte, random| {
                byte.wrapping_add(random.random_range(0..5)).wrapping_sub(2)
            }),
            4 => input.truncate(at),
            5 => drop(input.drain(at..(at + self.random.random_range(0..8)).min(input.len()))),
            6 => {
                let more: Vec<u8> =
                    (0..self.random.random_range(1..8)).map(|_| self.random.random()).collect();
                drop(input.splice(at..at, more));
            }
            7 => {
                let other = self.pick();
                let from = self.random.random_range(0..=other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            _ => {
                let length = self.random.random_range(0..=input.len() - at);
                let piece = input[at..at + length].repeat(self.random.random_range(1..4));
                drop(input.splice(at..at, piece));
            }
        }
        input.truncate(2 * LONGEST);
    }

    fn overwrite(&mut self, input: &mut [u8], with: impl Fn(u8, &mut SmallRng) -> u8) {
        if !input.is_empty() {
            let at = self.random.random_range(0..input.len());
            input[at] = with(input[at], &mut self.random);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_inputs() {
        let inputs = |seed| {
            let mut mutator = Mutator::new(vec![b"one".to_vec(), b"two".to_vec()], seed);
            (0..100).map(|_| mutator.next_input()).collect::<Vec<_>>()
        };
        assert_eq!(inputs(1), inputs(1));
        assert_ne!(inputs(1), inputs(2));
    }
}
