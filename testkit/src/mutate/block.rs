//! A block of samples, taken apart and put together again with right checksums.

use anyhow::Result;
use fastrand::Rng;

use super::bytes::{alter, number, put_varint, take, take_bytes};

/// A block of samples.
struct Block {
    /// Second differences of the instants, in zigzag.
    times: Vec<u64>,
    /// Runs of ordinals: how many are left out, how many follow.
    runs: Vec<(u64, u64)>,
    /// Groups: how many series, and the coded bytes.
    groups: Vec<(u64, Vec<u8>)>,
}

/// Alters a block; its checksums are right afterwards.
pub fn alter_block(body: &[u8], random: &mut Rng) -> Result<Vec<u8>> {
    let mut block = Block::read(body)?;
    let mut header = None;
    match random.u8(..8) {
        0 => {
            let mut altered = block.header();
            alter(&mut altered, random);
            header = Some(altered);
        }
        1 => alter_numbers(&mut block.times, random),
        2 => block.times = stretched(random),
        3 | 4 => {
            let place = random.usize(..block.runs.len().max(1));
            if let Some((skipped, length)) = block.runs.get_mut(place) {
                let run = if random.bool() { skipped } else { length };
                *run = number(*run, random);
            }
        }
        5 => {
            let place = random.usize(..block.groups.len().max(1));
            if let Some((series, _)) = block.groups.get_mut(place) {
                *series = number(*series, random);
            }
        }
        6 => block.claim(random),
        _ => {
            let place = random.usize(..block.groups.len().max(1));
            if let Some((_, coded)) = block.groups.get_mut(place) {
                alter(coded, random);
            }
        }
    }
    let header = header.unwrap_or_else(|| block.header());
    Ok(block.write(&header))
}

fn alter_numbers(numbers: &mut Vec<u64>, random: &mut Rng) {
    let place = random.usize(..numbers.len().max(1)).min(numbers.len());
    match random.u8(..4) {
        0 => numbers.truncate(place),
        1 => numbers.extend(std::iter::repeat_n(0, random.usize(..4_096))),
        _ => {
            if let Some(held) = numbers.get_mut(place) {
                *held = number(*held, random);
            }
        }
    }
}

/// Instants one after another, up to more than a block may have.
fn stretched(random: &mut Rng) -> Vec<u64> {
    let mut times = vec![0; random.usize(..4_100)];
    times.iter_mut().take(2).for_each(|first| *first = 2);
    times
}

impl Block {
    fn read(body: &[u8]) -> Result<Self> {
        let mut rest = body.get(4..).unwrap_or_default();
        let mut header = take_bytes(&mut rest)?;
        let times = (0..take(&mut header)?).map(|_| take(&mut header)).collect::<Result<_>>()?;
        let runs = (0..take(&mut header)?)
            .map(|_| Ok((take(&mut header)?, take(&mut header)?)))
            .collect::<Result<_>>()?;
        let mut groups = Vec::new();
        for _ in 0..take(&mut header)? {
            let (series, length) = (take(&mut header)?, take(&mut header)? as usize);
            header = header.get(4..).unwrap_or_default();
            let length = length.min(rest.len());
            groups.push((series, rest[..length].to_vec()));
            rest = &rest[length..];
        }
        Ok(Self { times, runs, groups })
    }

    /// Names many series of which next to no bytes stand there.
    fn claim(&mut self, random: &mut Rng) {
        let series = 1_u64 << random.u32(..22);
        let per_group = 1_u64 << random.u32(4..12);
        let coded = vec![0xff; random.usize(..20)];
        self.runs = vec![(0, series)];
        let groups = series.div_ceil(per_group).min(4_096);
        self.groups = (0..groups).map(|_| (per_group, coded.clone())).collect();
    }

    fn header(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, self.times.len() as u64);
        self.times.iter().for_each(|time| put_varint(&mut out, *time));
        put_varint(&mut out, self.runs.len() as u64);
        for (skipped, length) in &self.runs {
            put_varint(&mut out, *skipped);
            put_varint(&mut out, *length);
        }
        put_varint(&mut out, self.groups.len() as u64);
        for (series, coded) in &self.groups {
            put_varint(&mut out, *series);
            put_varint(&mut out, coded.len() as u64);
            out.extend(crc32c::crc32c(coded).to_le_bytes());
        }
        out
    }

    fn write(&self, header: &[u8]) -> Vec<u8> {
        let mut out = crc32c::crc32c(header).to_le_bytes().to_vec();
        put_varint(&mut out, header.len() as u64);
        out.extend_from_slice(header);
        self.groups.iter().for_each(|(_, coded)| out.extend_from_slice(coded));
        out
    }
}
