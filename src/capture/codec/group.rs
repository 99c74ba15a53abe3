//! The coded bytes of one group: presence, kinds and numbers of neighbouring series.
//!
//! The same functions encode and decode: the coder decides whether bits are written or read.

use super::block::{ABSENT, STALE, VALUE};
use super::number::{NumberModel, TopBits, code_tree};
use super::range_coder::{Bit, Coder};
use super::values::{Kind, Scratch, bit_length};

/// Whether a group is encoded or decoded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Encode,
    Decode,
}

/// The prediction that the increments of a series are compared with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// No prediction: the increment itself is coded.
    Plain,
    /// The previous increment of the series.
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

/// Statistics of the previous numbers of one stream, which are the context of the next one.
#[derive(Default)]
struct History {
    /// Sixteen times a moving average of bit lengths.
    average: u32,
    negative: bool,
}

impl History {
    #[inline]
    fn class(&self) -> usize {
        usize::from(CLASSES[self.average as usize])
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

/// The class of each average; an average is at most sixteen times 64 bits.
static CLASSES: [u8; 1025] = {
    let mut classes = [0; 1025];
    let mut average = 1;
    while average < classes.len() {
        let class = match average {
            1..=15 => 1,
            16..=31 => 2,
            more => 3 + (more - 32) / 48,
        };
        classes[average] = if class < HISTORY { class as u8 } else { HISTORY as u8 - 1 };
        average += 1;
    }
    classes
};

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

/// Encodes or decodes a group. Decoding overwrites `states` and `bits`.
pub fn code_group<C: Coder>(
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

fn code_values<C: Coder>(
    coder: &mut C,
    models: &mut Models,
    scratch: &mut Scratch,
    states: &[u8],
    bits: &mut [u64],
    direction: Direction,
) {
    scratch.find_places(states, models.last_full);
    if scratch.places.is_empty() {
        return;
    }
    let kind = match direction {
        Direction::Encode => scratch.split(bits),
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
        scratch.join(kind, bits);
    }
}

/// How the integers of a series are coded.
#[derive(Clone, Copy)]
struct SeriesCoding {
    mode: Mode,
    /// The number of the mode, and of the stream of increments.
    stream: usize,
    /// Low bits that are zero in all integers and are left out.
    shift: u32,
}

/// Codes exact integers. They become the neighbour that the next series is compared with.
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
    let coding = SeriesCoding { mode, stream: chosen.min(2), shift };
    main[0] = code_first(coder, models, coding, main[0], moves);
    models.neighbour_first = main[0];
    models.neighbour_scale = scale;
    if moves {
        code_steps(coder, models, coding, places, main);
    } else {
        let constant = main[0];
        main.fill(constant);
        models.neighbour_steps.fill(0);
    }
}

/// Codes the first integer of a series, whose integers differ where it `moves`.
fn code_first<C: Coder>(
    coder: &mut C,
    models: &mut Models,
    SeriesCoding { mode, shift, .. }: SeriesCoding,
    first: i64,
    moves: bool,
) -> i64 {
    let neighbour_first = if mode == Mode::Neighbour { models.neighbour_first } else { 0 };
    let first = first.wrapping_sub(neighbour_first) >> shift;
    let context = if mode == Mode::Neighbour { 0 } else { 1 + usize::from(moves) };
    let first = if coder.bit(&mut models.first_zero[context], first != 0) {
        models.first[context].code(coder, &mut models.top[0], first, false)
    } else {
        0
    };
    (first << shift).wrapping_add(neighbour_first)
}

/// Codes the increments of a series from its second integer on.
fn code_steps<C: Coder>(
    coder: &mut C,
    models: &mut Models,
    SeriesCoding { mode, stream, shift }: SeriesCoding,
    places: &[u32],
    main: &mut [i64],
) {
    let mut history = History::default();
    let mut before = 0_i64;
    let mut steps = std::mem::take(&mut models.neighbour_steps);
    let mut next_place = places[0] as usize + 1;
    steps[..next_place].fill(0);
    for index in 1..places.len() {
        let place = places[index] as usize;
        // Most gaps are empty, and then a call of `fill` would cost more than the check.
        if next_place < place {
            steps[next_place..place].fill(0);
        }
        next_place = place + 1;
        let beside = steps[place];
        let expected = match mode {
            Mode::Plain => 0,
            Mode::Previous => before,
            Mode::Neighbour => beside,
        };
        let step = main[index].wrapping_sub(main[index - 1]);
        let surprise = step.wrapping_sub(expected) >> shift;
        let surprise = code_number(coder, models, &mut history, stream, beside, surprise);
        let step = (surprise << shift).wrapping_add(expected);
        main[index] = main[index - 1].wrapping_add(step);
        steps[place] = step;
        before = step;
    }
    steps[next_place..].fill(0);
    models.neighbour_steps = steps;
}

/// Codes the increments of numbers that are not predicted from a neighbour.
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
