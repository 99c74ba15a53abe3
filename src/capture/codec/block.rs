//! The sealed block: one scrape target's samples over a stretch of time.
//!
//! A block has a header (instants, series, directory of groups) and groups of neighbouring
//! series, each coded and checksummed on its own, so that a query decodes only what it touches
//! and a damaged byte loses one group. `docs/capture-format.md` specifies the bytes.
//!
//! Series stand in the order of their ordinals, which puts the parts of one histogram side by
//! side: its count, its sum, then its buckets from `+Inf` down. An observation enlarges every
//! bucket above it, so a bucket's increment is coded as its difference from its neighbour's.

use super::bytes::{Cursor, DecodeError, put_signed, put_varint};
use super::number::{NumberModel, TopBits, code_tree};
use super::range_coder::{Bit, Coder, Decoder, Encoder};
use crate::model::STALE_NAN_BITS;

/// Samples that a group aims at; more series per group compress better, fewer are found faster.
const GROUP_SAMPLES: usize = 128 * 1024;
/// Series × instants that a decoder accepts in one group, which bounds what it allocates.
const MAX_GROUP_CELLS: usize = 1 << 21;
/// Series × instants that a decoder accepts in one block, which bounds the time it takes.
const MAX_BLOCK_CELLS: usize = 1 << 30;
/// Instants of one block.
const MAX_INSTANTS: usize = 4096;

/// A cell holds no sample.
pub const ABSENT: u8 = 0;
/// A cell holds a value.
pub const VALUE: u8 = 1;
/// A cell holds the staleness marker.
pub const STALE: u8 = 2;

/// Samples of several series over common instants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// Instants in milliseconds, strictly ascending.
    pub times: Vec<i64>,
    /// Series of the target, strictly ascending.
    pub ordinals: Vec<u32>,
    /// What each cell holds: a row of `times.len()` per series.
    pub states: Vec<u8>,
    /// The value's bits where the cell holds a value, else 0. Same shape as `states`.
    pub bits: Vec<u64>,
}

impl Columns {
    /// Samples, staleness markers included.
    pub fn sample_count(&self) -> u64 {
        self.states.iter().filter(|&&state| state != ABSENT).count() as u64
    }

    /// One series' samples: instant and bits of the value.
    pub fn samples(&self, row: usize) -> impl Iterator<Item = (i64, u64)> {
        let cells = row * self.times.len()..(row + 1) * self.times.len();
        self.times.iter().zip(&self.states[cells.clone()]).zip(&self.bits[cells]).filter_map(
            |((&at, &state), &bits)| match state {
                ABSENT => None,
                STALE => Some((at, STALE_NAN_BITS)),
                _ => Some((at, bits)),
            },
        )
    }
}

/// What a block says about itself before any sample is decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockHeader {
    /// Instants in milliseconds, strictly ascending.
    pub times: Vec<i64>,
    /// Series of the target, strictly ascending.
    pub ordinals: Vec<u32>,
    groups: Vec<Group>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    series: std::ops::Range<usize>,
    bytes: std::ops::Range<usize>,
    checksum: u32,
}

impl BlockHeader {
    /// Reads the header of a block.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] where the header is damaged or exceeds what the format allows.
    pub fn decode(block: &[u8]) -> Result<Self, DecodeError> {
        let (stored, rest) =
            block.split_first_chunk::<4>().ok_or(DecodeError("shorter than its checksum"))?;
        let mut outer = Cursor::new(rest);
        let header = outer.bytes()?;
        if crc32c::crc32c(header) != u32::from_le_bytes(*stored) {
            return Err(DecodeError("checksum of the header does not match"));
        }
        let body_start = block.len() - outer.remaining();
        let mut cursor = Cursor::new(header);
        let times = decode_times(&mut cursor)?;
        let ordinals = decode_ordinals(&mut cursor)?;
        if ordinals.len().saturating_mul(times.len()) > MAX_BLOCK_CELLS {
            return Err(DecodeError("a block has more cells than the format allows"));
        }
        let count = cursor.count()?;
        let mut groups = Vec::with_capacity(count);
        let (mut series, mut byte) = (0_usize, body_start);
        for _ in 0..count {
            let series_end = series.saturating_add(cursor.u32()? as usize);
            let byte_end = byte.saturating_add(cursor.u32()? as usize);
            let checksum = cursor.take(4)?.try_into().map_err(|_| DecodeError("ends early"))?;
            let cells = (series_end - series).saturating_mul(times.len());
            if series_end > ordinals.len() || byte_end > block.len() || cells > MAX_GROUP_CELLS {
                return Err(DecodeError("a group lies outside its block"));
            }
            groups.push(Group {
                series: series..series_end,
                bytes: byte..byte_end,
                checksum: u32::from_le_bytes(checksum),
            });
            (series, byte) = (series_end, byte_end);
        }
        if series != ordinals.len() || byte != block.len() || !cursor.is_empty() {
            return Err(DecodeError("the directory does not cover the block"));
        }
        Ok(Self { times, ordinals, groups })
    }

    /// How many groups there are.
    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// The ordinals that `group` holds.
    pub fn group_ordinals(&self, group: usize) -> &[u32] {
        &self.ordinals[self.groups[group].series.clone()]
    }
}

fn encode_header(columns: &Columns, groups: &[(usize, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, columns.times.len() as u64);
    let (mut last, mut step) = (0_i64, 0_i64);
    for &time in &columns.times {
        let delta = time.wrapping_sub(last);
        put_signed(&mut out, delta.wrapping_sub(step));
        (last, step) = (time, if last == 0 { 0 } else { delta });
    }
    encode_ordinals(&mut out, &columns.ordinals);
    put_varint(&mut out, groups.len() as u64);
    for (series, bytes) in groups {
        put_varint(&mut out, *series as u64);
        put_varint(&mut out, bytes.len() as u64);
        out.extend_from_slice(&crc32c::crc32c(bytes).to_le_bytes());
    }
    out
}

fn decode_times(cursor: &mut Cursor<'_>) -> Result<Vec<i64>, DecodeError> {
    let count = cursor.count()?;
    if count > MAX_INSTANTS {
        return Err(DecodeError("a block has more instants than the format allows"));
    }
    let mut times = Vec::with_capacity(count);
    let (mut last, mut step) = (0_i64, 0_i64);
    for index in 0..count {
        let delta = step.wrapping_add(cursor.signed()?);
        let time = last.wrapping_add(delta);
        if index > 0 && time <= last {
            return Err(DecodeError("instants do not ascend"));
        }
        times.push(time);
        (last, step) = (time, if last == 0 { 0 } else { delta });
    }
    Ok(times)
}

/// Ordinals as runs: how many are left out, how many follow one another.
fn encode_ordinals(out: &mut Vec<u8>, ordinals: &[u32]) {
    let mut runs = Vec::new();
    let mut next = 0_u32;
    for chunk in ordinals.chunk_by(|a, b| a + 1 == *b) {
        runs.push((chunk[0] - next, chunk.len()));
        next = chunk[0] + chunk.len() as u32;
    }
    put_varint(out, runs.len() as u64);
    for (skipped, length) in runs {
        put_varint(out, u64::from(skipped));
        put_varint(out, length as u64);
    }
}

fn decode_ordinals(cursor: &mut Cursor<'_>) -> Result<Vec<u32>, DecodeError> {
    const MAX_SERIES: usize = 1 << 23;
    let mut ordinals = Vec::new();
    let mut next = 0_u32;
    for _ in 0..cursor.count()? {
        let start = next.checked_add(cursor.u32()?);
        let length = cursor.u32()?;
        let (start, end) = start
            .and_then(|start| Some((start, start.checked_add(length)?)))
            .ok_or(DecodeError("an ordinal exceeds 32 bits"))?;
        if ordinals.len() + length as usize > MAX_SERIES {
            return Err(DecodeError("a block has more series than the format allows"));
        }
        ordinals.extend(start..end);
        next = end;
    }
    Ok(ordinals)
}

/// Encodes a block.
///
/// # Panics
///
/// Where `columns` breaks its own invariants, or has more than [`MAX_INSTANTS`] instants.
pub fn encode_block(columns: &Columns) -> Vec<u8> {
    let instants = columns.times.len();
    assert!((1..=MAX_INSTANTS).contains(&instants), "a block has 1 to 4096 instants");
    let per_group = (GROUP_SAMPLES / instants).max(1);
    let groups: Vec<(usize, Vec<u8>)> = (0..columns.ordinals.len())
        .step_by(per_group)
        .map(|first| {
            let end = (first + per_group).min(columns.ordinals.len());
            let mut states = columns.states[first * instants..end * instants].to_vec();
            let mut bits = columns.bits[first * instants..end * instants].to_vec();
            let mut encoder = Encoder::new();
            code_group(&mut encoder, instants, &mut states, &mut bits, Direction::Encode);
            (end - first, encoder.finish())
        })
        .collect();
    let header = encode_header(columns, &groups);
    let mut out = crc32c::crc32c(&header).to_le_bytes().to_vec();
    put_varint(&mut out, header.len() as u64);
    out.extend(header);
    for (_, bytes) in groups {
        out.extend(bytes);
    }
    out
}

/// Decodes one group of a block.
///
/// # Errors
///
/// [`DecodeError`] where the group's bytes do not match their checksum or their form.
pub fn decode_group(
    block: &[u8],
    header: &BlockHeader,
    group: usize,
) -> Result<Columns, DecodeError> {
    let Group { series, bytes, checksum } = &header.groups[group];
    let coded = &block[bytes.clone()];
    if crc32c::crc32c(coded) != *checksum {
        return Err(DecodeError("checksum of a group does not match"));
    }
    let cells = series.len() * header.times.len();
    let mut states = vec![ABSENT; cells];
    let mut bits = vec![0; cells];
    let mut decoder = Decoder::new(coded);
    code_group(&mut decoder, header.times.len(), &mut states, &mut bits, Direction::Decode);
    if decoder.has_rest() {
        return Err(DecodeError("a group has bytes after its last sample"));
    }
    Ok(Columns {
        times: header.times.clone(),
        ordinals: header.ordinals[series.clone()].to_vec(),
        states,
        bits,
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Encode,
    Decode,
}

/// How the values of a series are written as integers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// All are `+0.0`.
    Zero,
    /// Each is exactly `k / 10^scale`.
    Decimal(u32),
    /// Each is `k / 10^scale` plus a number of units in the last place.
    Scaled(u32),
    /// The order of floats as integers.
    Raw,
}

impl Kind {
    const SCALED: [u32; 3] = [3, 6, 9];

    fn code(self) -> u32 {
        match self {
            Self::Zero => 0,
            Self::Decimal(scale) => 1 + scale,
            Self::Scaled(scale) => 11 + scale / 3 - 1,
            Self::Raw => 14,
        }
    }

    fn from_code(code: u32) -> Self {
        match code {
            0 => Self::Zero,
            1..=10 => Self::Decimal(code - 1),
            11..=13 => Self::Scaled(Self::SCALED[code as usize - 11]),
            _ => Self::Raw,
        }
    }
}

/// What a series' increments are compared with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Nothing.
    Plain,
    /// The increment before.
    Previous,
    /// The neighbouring series' increment at the same instant.
    Neighbour,
}

impl Mode {
    const ALL: [Self; 3] = [Self::Plain, Self::Previous, Self::Neighbour];
}

const HISTORY: usize = 14;
const NEIGHBOUR: usize = 5;
const STREAMS: usize = 5;

/// All adaptive state of a group, and the neighbour that the next series is compared with.
struct Models {
    full: [Bit; 2],
    state: [[Bit; 2]; 9],
    kind: [[Bit; 16]; 16],
    moves: [Bit; 16],
    shift: [Bit; 64],
    mode: [[Bit; 4]; 4],
    first_zero: [Bit; 4],
    first: [NumberModel; 4],
    zero: [[[Bit; NEIGHBOUR]; HISTORY]; STREAMS],
    number: [[NumberModel; HISTORY]; STREAMS],
    top: [TopBits; STREAMS],
    last_full: bool,
    last_kind: u32,
    last_mode: usize,
    neighbour_states: Vec<u8>,
    neighbour_scale: u32,
    neighbour_first: i64,
    neighbour_steps: Vec<i64>,
}

impl Models {
    fn new(instants: usize) -> Self {
        Self {
            full: [Bit::NEW; 2],
            state: [[Bit::NEW; 2]; 9],
            kind: [[Bit::NEW; 16]; 16],
            moves: [Bit::NEW; 16],
            shift: [Bit::NEW; 64],
            mode: [[Bit::NEW; 4]; 4],
            first_zero: [Bit::NEW; 4],
            first: [NumberModel::NEW; 4],
            zero: [[[Bit::NEW; NEIGHBOUR]; HISTORY]; STREAMS],
            number: [[NumberModel::NEW; HISTORY]; STREAMS],
            top: std::array::from_fn(|_| TopBits::new()),
            last_full: true,
            last_kind: 0,
            last_mode: 0,
            neighbour_states: vec![VALUE; instants],
            neighbour_scale: 0,
            neighbour_first: 0,
            neighbour_steps: vec![0; instants],
        }
    }
}

/// What is remembered of the numbers of one stream of a series: the context of the next.
#[derive(Default)]
struct History {
    /// Sixteen times a moving average of bit lengths.
    average: u32,
    negative: bool,
}

impl History {
    #[inline]
    fn class(&self) -> usize {
        match self.average {
            0 => 0,
            1..=15 => 1,
            16..=31 => 2,
            more => (3 + (more - 32) / 48).min(HISTORY as u32 - 1) as usize,
        }
    }

    #[inline]
    fn learn(&mut self, value: i64) {
        let length = 64 - value.unsigned_abs().leading_zeros();
        self.average = (self.average * 3 + length * 16) / 4;
        if value != 0 {
            self.negative = value < 0;
        }
    }
}

#[inline]
fn neighbour_class(step: i64) -> usize {
    match step.unsigned_abs() {
        0 => 0,
        1 => 1,
        2..=3 => 2,
        4..=31 => 3,
        _ => 4,
    }
}

/// Codes a group in either direction. Decoding overwrites `states` and `bits`.
fn code_group<C: Coder>(
    coder: &mut C,
    instants: usize,
    states: &mut [u8],
    bits: &mut [u64],
    direction: Direction,
) {
    let mut models = Models::new(instants);
    let mut scratch = Scratch::default();
    for (states, bits) in states.chunks_exact_mut(instants).zip(bits.chunks_exact_mut(instants)) {
        code_states(coder, &mut models, states);
        code_values(coder, &mut models, &mut scratch, states, bits, direction);
    }
}

fn code_states<C: Coder>(coder: &mut C, models: &mut Models, states: &mut [u8]) {
    let full = states.iter().all(|&state| state == VALUE);
    let full = coder.bit(&mut models.full[usize::from(models.last_full)], full);
    models.last_full = full;
    if full {
        states.fill(VALUE);
    } else {
        let mut before = VALUE;
        for (state, beside) in states.iter_mut().zip(&models.neighbour_states) {
            let context = &mut models.state[usize::from(before * 3 + beside)];
            let held = coder.bit(&mut context[0], *state != VALUE);
            *state = match held {
                false => VALUE,
                true if coder.bit(&mut context[1], *state == STALE) => STALE,
                true => ABSENT,
            };
            before = *state;
        }
    }
    models.neighbour_states.copy_from_slice(states);
}

/// Buffers that are reused from series to series.
#[derive(Default)]
struct Scratch {
    places: Vec<u32>,
    main: Vec<i64>,
    rest: Vec<i64>,
}

fn code_values<C: Coder>(
    coder: &mut C,
    models: &mut Models,
    scratch: &mut Scratch,
    states: &[u8],
    bits: &mut [u64],
    direction: Direction,
) {
    scratch.places.clear();
    let held = states.iter().enumerate().filter(|&(_, &state)| state == VALUE);
    scratch.places.extend(held.map(|(place, _)| place as u32));
    if scratch.places.is_empty() {
        return;
    }
    let kind = match direction {
        Direction::Encode => split_values(scratch, bits),
        Direction::Decode => Kind::Zero,
    };
    let context = models.last_kind as usize;
    let kind = Kind::from_code(code_tree(coder, &mut models.kind[context], kind.code()));
    models.last_kind = kind.code();
    scratch.main.resize(scratch.places.len(), 0);
    scratch.rest.resize(scratch.places.len(), 0);
    match kind {
        Kind::Zero => {
            models.neighbour_steps.fill(0);
            (models.neighbour_first, models.neighbour_scale) = (0, 0);
        }
        Kind::Decimal(scale) => code_exact(coder, models, scratch, scale, direction),
        Kind::Scaled(_) => {
            code_inexact(coder, models, &scratch.places, &mut scratch.main, 3);
            code_inexact(coder, models, &scratch.places, &mut scratch.rest, 4);
        }
        Kind::Raw => code_inexact(coder, models, &scratch.places, &mut scratch.main, 3),
    }
    if direction == Direction::Decode {
        join_values(kind, scratch, bits);
    }
}

/// Codes exact integers; they become what the next series is compared with.
fn code_exact<C: Coder>(
    coder: &mut C,
    models: &mut Models,
    scratch: &mut Scratch,
    scale: u32,
    direction: Direction,
) {
    let Scratch { places, main, .. } = scratch;
    let comparable = scale == models.neighbour_scale;
    let moves = main.windows(2).any(|pair| pair[0] != pair[1]);
    let moves = coder.bit(&mut models.moves[1 + scale as usize], moves);
    let mode = match direction {
        Direction::Encode => choose_mode(models, places, main, comparable),
        Direction::Decode => Mode::Plain,
    };
    let chosen = code_tree(coder, &mut models.mode[models.last_mode], mode as u32) as usize;
    models.last_mode = chosen;
    let mode = Mode::ALL[chosen.min(2)];
    let shift = if scale == 0 && mode != Mode::Neighbour {
        let zeros = main.iter().fold(64, |least, value| least.min(value.trailing_zeros()));
        code_tree(coder, &mut models.shift, zeros.min(63))
    } else {
        0
    };
    let neighbour_first = if mode == Mode::Neighbour { models.neighbour_first } else { 0 };
    let first = main[0].wrapping_sub(neighbour_first) >> shift;
    let context = if mode == Mode::Neighbour { 0 } else { 1 + usize::from(moves) };
    let first = if coder.bit(&mut models.first_zero[context], first != 0) {
        models.first[context].code(coder, &mut models.top[0], first, false)
    } else {
        0
    };
    main[0] = (first << shift).wrapping_add(neighbour_first);
    models.neighbour_first = main[0];
    models.neighbour_scale = scale;
    if !moves {
        let constant = main[0];
        main.fill(constant);
        models.neighbour_steps.fill(0);
        return;
    }
    let mut history = History::default();
    let mut before = 0_i64;
    let mut next_place = 0;
    for index in 0..places.len() {
        let place = places[index] as usize;
        models.neighbour_steps[next_place..place].fill(0);
        next_place = place + 1;
        if index == 0 {
            models.neighbour_steps[place] = 0;
            continue;
        }
        let beside = models.neighbour_steps[place];
        let expected = match mode {
            Mode::Plain => 0,
            Mode::Previous => before,
            Mode::Neighbour => beside,
        };
        let step = main[index].wrapping_sub(main[index - 1]);
        let surprise = step.wrapping_sub(expected) >> shift;
        let surprise = code_number(coder, models, &mut history, chosen.min(2), beside, surprise);
        let step = (surprise << shift).wrapping_add(expected);
        main[index] = main[index - 1].wrapping_add(step);
        models.neighbour_steps[place] = step;
        before = step;
    }
    models.neighbour_steps[next_place..].fill(0);
}

/// Codes increments of numbers that no neighbour resembles.
fn code_inexact<C: Coder>(
    coder: &mut C,
    models: &mut Models,
    places: &[u32],
    numbers: &mut [i64],
    stream: usize,
) {
    if coder.bit(&mut models.first_zero[3], numbers[0] != 0) {
        numbers[0] = models.first[3].code(coder, &mut models.top[stream], numbers[0], false);
    } else {
        numbers[0] = 0;
    }
    let mut history = History::default();
    for index in 1..numbers.len() {
        let beside = models.neighbour_steps[places[index] as usize];
        let step = numbers[index].wrapping_sub(numbers[index - 1]);
        let step = code_number(coder, models, &mut history, stream, beside, step);
        numbers[index] = numbers[index - 1].wrapping_add(step);
    }
}

#[inline]
fn code_number<C: Coder>(
    coder: &mut C,
    models: &mut Models,
    history: &mut History,
    stream: usize,
    beside: i64,
    value: i64,
) -> i64 {
    let class = history.class();
    let zero = &mut models.zero[stream][class][neighbour_class(beside)];
    let value = if coder.bit(zero, value != 0) {
        models.number[stream][class].code(coder, &mut models.top[stream], value, history.negative)
    } else {
        0
    };
    history.learn(value);
    value
}

fn bit_length(value: i64) -> u32 {
    64 - value.unsigned_abs().leading_zeros()
}

fn choose_mode(models: &Models, places: &[u32], main: &[i64], comparable: bool) -> Mode {
    let (mut plain, mut previous, mut neighbour) = (0, 0, 0);
    let mut before = 0;
    for index in 1..main.len() {
        let step = main[index].wrapping_sub(main[index - 1]);
        plain += bit_length(step);
        previous += bit_length(step.wrapping_sub(before));
        neighbour += bit_length(step.wrapping_sub(models.neighbour_steps[places[index] as usize]));
        before = step;
    }
    plain += bit_length(main[0]);
    previous += bit_length(main[0]) + 1;
    neighbour += bit_length(main[0].wrapping_sub(models.neighbour_first));
    if comparable && neighbour <= plain.min(previous) {
        Mode::Neighbour
    } else if previous < plain {
        Mode::Previous
    } else {
        Mode::Plain
    }
}

/// Finds the kind of a series and fills the scratch with its integers.
fn split_values(scratch: &mut Scratch, bits: &[u64]) -> Kind {
    let Scratch { places, main, rest } = scratch;
    let values = || places.iter().map(|&place| bits[place as usize]);
    main.clear();
    rest.clear();
    if values().all(|bits| bits == 0) {
        return Kind::Zero;
    }
    for scale in 0..=9 {
        main.clear();
        main.extend(values().map_while(|bits| exact_decimal(bits, scale)));
        if main.len() == places.len() {
            return Kind::Decimal(scale);
        }
    }
    let mut best = (u32::MAX, Kind::Raw);
    for scale in Kind::SCALED {
        main.clear();
        rest.clear();
        for bits in values() {
            let (number, residue) = inexact_decimal(bits, scale);
            main.push(number);
            rest.push(residue);
        }
        best = best.min_by_cost((cost(main) + cost(rest), Kind::Scaled(scale)));
    }
    main.clear();
    main.extend(values().map(ordered));
    best = best.min_by_cost((cost(main), Kind::Raw));
    if let (_, Kind::Scaled(scale)) = best {
        main.clear();
        rest.clear();
        for bits in places.iter().map(|&place| bits[place as usize]) {
            let (number, residue) = inexact_decimal(bits, scale);
            main.push(number);
            rest.push(residue);
        }
    }
    best.1
}

trait MinByCost {
    fn min_by_cost(self, other: Self) -> Self;
}

impl MinByCost for (u32, Kind) {
    fn min_by_cost(self, other: Self) -> Self {
        if other.0 < self.0 { other } else { self }
    }
}

fn cost(numbers: &[i64]) -> u32 {
    let steps = numbers.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]));
    numbers.first().map_or(0, |&first| bit_length(first)) + steps.map(bit_length).sum::<u32>()
}

const POWERS: [f64; 10] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
/// Integers up to here are exact as `f64`.
const EXACT: f64 = 9_007_199_254_740_992.0;

fn exact_decimal(bits: u64, scale: u32) -> Option<i64> {
    let power = POWERS[scale as usize];
    let number = (f64::from_bits(bits) * power).round();
    // Going through the integer tells `-0.0` from `0.0`.
    let fits = number.abs() <= EXACT && (number as i64 as f64 / power).to_bits() == bits;
    fits.then_some(number as i64)
}

fn inexact_decimal(bits: u64, scale: u32) -> (i64, i64) {
    let power = POWERS[scale as usize];
    let scaled = (f64::from_bits(bits) * power).round();
    let number = if scaled.abs() <= EXACT { scaled as i64 } else { 0 };
    (number, ordered(bits).wrapping_sub(ordered((number as f64 / power).to_bits())))
}

/// Maps floats to integers in the same order; its own inverse on the bits.
fn ordered(bits: u64) -> i64 {
    let signed = bits as i64;
    signed ^ (((signed >> 63) as u64) >> 1) as i64
}

fn join_values(kind: Kind, scratch: &Scratch, bits: &mut [u64]) {
    let places = scratch.places.iter().map(|&place| place as usize);
    match kind {
        Kind::Zero => places.for_each(|place| bits[place] = 0),
        Kind::Decimal(scale) => {
            let power = POWERS[scale as usize];
            for (place, &number) in places.zip(&scratch.main) {
                bits[place] = (number as f64 / power).to_bits();
            }
        }
        Kind::Scaled(scale) => {
            let power = POWERS[scale as usize];
            for ((place, &number), &residue) in places.zip(&scratch.main).zip(&scratch.rest) {
                let near = ordered((number as f64 / power).to_bits());
                bits[place] = ordered(near.wrapping_add(residue) as u64) as u64;
            }
        }
        Kind::Raw => {
            for (place, &number) in places.zip(&scratch.main) {
                bits[place] = ordered(number as u64) as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_back(columns: &Columns) -> Columns {
        let block = encode_block(columns);
        let header = BlockHeader::decode(&block).expect("a fresh header reads");
        let mut whole = Columns { times: header.times.clone(), ..Columns::default() };
        for group in 0..header.group_count() {
            let part = decode_group(&block, &header, group).expect("a fresh group reads");
            whole.ordinals.extend(part.ordinals);
            whole.states.extend(part.states);
            whole.bits.extend(part.bits);
        }
        whole
    }

    fn columns(rows: &[&[f64]]) -> Columns {
        let instants = rows[0].len();
        Columns {
            times: (0..instants as i64).map(|tick| 1_795_537_009_127 + tick * 15_000).collect(),
            ordinals: (0..rows.len() as u32).collect(),
            states: vec![VALUE; rows.len() * instants],
            bits: rows.iter().flat_map(|row| row.iter().map(|value| value.to_bits())).collect(),
        }
    }

    #[test]
    fn values_of_every_kind_read_back_to_the_bit() {
        let written = columns(&[
            &[0.0, 0.0, 0.0, 0.0],
            &[-0.0, 0.0, f64::INFINITY, f64::NEG_INFINITY],
            &[1.0, 2.0, 1e300, f64::from_bits(0x7ff8_dead_beef_0001)],
            &[f64::MIN_POSITIVE, 5e-324, f64::MAX, f64::MIN],
            &[0.1, 0.25, 17.123_456_789, 1795.5],
            &[0.1 + 0.2, 1.0 / 3.0, 2.0 / 3.0, 1e-9],
            &[4096.0, 8192.0, 1_048_576.0, 0.0],
            &[9_007_199_254_740_992.0, -9_007_199_254_740_992.0, 1.0, -1.0],
            &[18_446_744_073_709_551_615.0, 0.0, 1e19, 4.4e17],
        ]);
        assert_eq!(read_back(&written), written);
    }

    #[test]
    fn absent_and_stale_cells_read_back() {
        let mut written = columns(&[&[1.0, 2.0, 3.0], &[5.0, 0.0, 7.0], &[0.0, 0.0, 0.0]]);
        written.states = vec![VALUE, VALUE, STALE, VALUE, ABSENT, VALUE, ABSENT, STALE, ABSENT];
        for (bits, &state) in written.bits.iter_mut().zip(&written.states) {
            *bits = if state == VALUE { *bits } else { 0 };
        }
        assert_eq!(read_back(&written), written);
        assert_eq!(written.samples(0).last(), Some((written.times[2], STALE_NAN_BITS)));
    }

    #[test]
    fn a_flipped_bit_is_noticed_wherever_it_is() {
        let block = encode_block(&columns(&[&[1.5, 2.5, 3.5], &[1.0, 7.0, 7.0]]));
        for position in 0..block.len() * 8 {
            let mut damaged = block.clone();
            damaged[position / 8] ^= 1 << (position % 8);
            let read =
                BlockHeader::decode(&damaged).and_then(|header| decode_group(&damaged, &header, 0));
            assert!(read.is_err(), "bit {position}");
        }
    }

    proptest! {
        #[test]
        fn any_cells_read_back(
            rows in prop::collection::vec(
                prop::collection::vec((0_u8..3, any::<u64>(), 0_u8..4), 7), 1..12,
            ),
        ) {
            let mut written = columns(&[&[0.0; 7]]);
            written.ordinals = (0..rows.len() as u32).map(|ordinal| ordinal * 3).collect();
            written.states.clear();
            written.bits.clear();
            for &(state, raw, shape) in rows.iter().flatten() {
                let bits = match shape {
                    0 => raw,
                    1 => ((raw % 1000) as f64).to_bits(),
                    2 => ((raw % 100_000) as f64 / 1e9).to_bits(),
                    _ => ((raw as i32) as f64 * 1.1).to_bits(),
                };
                let bits = if bits == STALE_NAN_BITS { 0 } else { bits };
                written.states.push(state);
                written.bits.push(if state == VALUE { bits } else { 0 });
            }
            prop_assert_eq!(read_back(&written), written);
        }

        #[test]
        fn garbage_neither_panics_nor_runs_away(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut states = vec![ABSENT; 40];
            let mut bits = vec![0; 40];
            code_group(&mut Decoder::new(&bytes), 8, &mut states, &mut bits, Direction::Decode);
            let _ = BlockHeader::decode(&bytes);
        }
    }
}
