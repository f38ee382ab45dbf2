//! Where a hit may begin, found in one pass over all bytes.
//!
//! Each byte is looked up in a table whose entries spread its class over the eight bytes of a word, so that eight
//! look-ups, shifted by their place, give one mask of eight places for each class. On windows of 64 places the shapes of
//! digits and separators are then a few shifts and ands, for all places at once.
//!
//! INVARIANT: an anchor depends only on bytes at and after it, and no term is negated. Bytes around a cell can therefore
//! add anchors to those of the cell alone, and never take one away.

use super::key::Literals;

/// What may begin at an anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Anchor {
    /// An `@`.
    Email,
    Card,
    Ssn,
    Iban,
    Phone,
    /// The first dot of an IPv4 address.
    Ipv4,
    /// The first colon of the eight groups, or the `::`, of an IPv6 address.
    Ipv6,
    /// A prefix of a token or key.
    Literal,
    /// A character that stands for an ASCII one, or for nothing.
    Fold,
    /// A backslash: an escape, in formats that have them.
    Escape,
}

/// A set of anchors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Anchors(u16);

impl Anchors {
    pub(crate) const NONE: Self = Self(0);

    pub(crate) const fn with(self, anchor: Anchor) -> Self {
        Self(self.0 | 1 << anchor as u16)
    }

    pub(crate) const fn has(self, anchor: Anchor) -> bool {
        self.0 & (1 << anchor as u16) != 0
    }
}

const DIGIT: usize = 0;
const DASH: usize = 1;
const SPACE: usize = 2;
const DOT: usize = 3;
const COLON: usize = 4;
const UPPER: usize = 5;
const RARE: usize = 6;

const NONE: usize = 7;

/// For each place in a word, the entries shifted by it.
static CLASSES: [[u64; 256]; 8] = classes();

const fn classes() -> [[u64; 256]; 8] {
    let mut table = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let class = match byte as u8 {
            b'0'..=b'9' => DIGIT,
            b'-' => DASH,
            b' ' => SPACE,
            b'.' => DOT,
            b':' => COLON,
            b'A'..=b'Z' => UPPER,
            b'@' | b'+' | b'(' | b'\\' | 0xC2 | 0xCC | 0xCD | 0xD9 | 0xDB | 0xE2 | 0xEF | 0xF3 => RARE,
            _ => NONE,
        };
        let mut place = 0;
        while place < 8 {
            table[place][byte] = 1 << (8 * class + place);
            place += 1;
        }
        byte += 1;
    }
    table
}

/// One mask for each class, of 64 places.
type Window = [u64; 8];

/// Finds the anchors of the given kinds in `bytes` and hands over their places, in no particular order.
pub(crate) fn scan(bytes: &[u8], kinds: Anchors, literals: &Literals, sink: &mut impl FnMut(usize, Anchor)) {
    if kinds.has(Anchor::Literal) {
        literals.each(bytes, |at| sink(at, Anchor::Literal));
    }
    let mut window: Window = [0; 8];
    let mut base = 0;
    let (blocks, tail) = bytes.as_chunks::<HALF>();
    let mut last = [0; HALF];
    last.iter_mut().zip(tail).for_each(|(to, from)| *to = *from);
    for at in 0..blocks.len() + 2 {
        let fresh = classify(blocks.get(at).unwrap_or(if at == blocks.len() { &last } else { &[0; HALF] }));
        for (mask, fresh) in window.iter_mut().zip(fresh) {
            *mask = *mask >> HALF | u64::from(fresh) << HALF;
        }
        if at > 0 {
            shapes(&window, kinds, base, sink);
            rare(bytes, window[RARE] & LOW, kinds, base, sink);
            base += HALF;
        }
    }
}

/// How many places a step takes, and how far the shapes may look ahead.
const HALF: usize = 32;
const LOW: u64 = (1 << HALF) - 1;

#[inline(always)]
fn classify(block: &[u8; HALF]) -> [u32; 8] {
    let mut words = [0; HALF / 8];
    for (word, bytes) in words.iter_mut().zip(block.as_chunks::<8>().0) {
        let entry = |place: usize| CLASSES[place][usize::from(bytes[place])];
        let pairs = [entry(0) | entry(1), entry(2) | entry(3), entry(4) | entry(5), entry(6) | entry(7)];
        *word = pairs[0] | pairs[1] | (pairs[2] | pairs[3]);
    }
    // Four words with a byte for each class become eight masks: bytes are paired, then pairs.
    let [a, b, c, d] = words;
    let ([even_low, odd_low], [even_high, odd_high]) = (pair::<8>(a, b), pair::<8>(c, d));
    let ([c04, c26], [c15, c37]) = (pair::<16>(even_low, even_high), pair::<16>(odd_low, odd_high));
    [c04, c15, c26, c37, c04 >> 32, c15 >> 32, c26 >> 32, c37 >> 32].map(|mask| mask as u32)
}

/// The lanes of `BITS` bits of two words, put together pairwise: those with even numbers, and those with odd ones.
#[inline(always)]
const fn pair<const BITS: u32>(first: u64, second: u64) -> [u64; 2] {
    let even = if BITS == 8 { 0x00FF_00FF_00FF_00FF } else { 0x0000_FFFF_0000_FFFF };
    [first & even | (second & even) << BITS, first >> BITS & even | second & !even]
}

fn shapes(window: &Window, kinds: Anchors, base: usize, sink: &mut impl FnMut(usize, Anchor)) {
    let [digit, dash, space, dot, colon, upper, ..] = *window;
    let two = digit & digit >> 1;
    if two == 0 && colon == 0 {
        dots(digit, dot, kinds, base, sink);
        return;
    }
    let three = two & digit >> 2;
    if kinds.has(Anchor::Iban) {
        each(upper & upper >> 1 & two >> 2, base, Anchor::Iban, sink);
    }
    dots(digit, dot, kinds, base, sink);
    if kinds.has(Anchor::Ipv6) && colon != 0 {
        colons(colon, base, sink);
    }
    let gap = space | dash | dot;
    if kinds.has(Anchor::Phone) {
        let five = three & two >> 3;
        let four = two & two >> 2;
        let trunk = (space | dash) >> 2 & three >> 3 | three & gap >> 3 & three >> 4 | four & gap >> 4 & three >> 5;
        let pair = gap & two >> 1;
        let pairs = pair >> 2 & pair >> 5 & pair >> 8 & pair >> 11;
        each(two & (trunk | pairs) | five & gap >> 5 & three >> 6, base, Anchor::Phone, sink);
    }
    let four = three & digit >> 3;
    if kinds.has(Anchor::Card) {
        let eight = four & four >> 4;
        each(eight & four >> 8 & digit >> 12 | four & (space | dash) >> 4 & three >> 5, base, Anchor::Card, sink);
    }
    if kinds.has(Anchor::Ssn) {
        each(three & dash >> 3 & two >> 4 & dash >> 6 & four >> 7, base, Anchor::Ssn, sink);
    }
}

fn dots(digit: u64, dot: u64, kinds: Anchors, base: usize, sink: &mut impl FnMut(usize, Anchor)) {
    let octet = dot & digit >> 1;
    if octet & octet.wrapping_sub(1) != 0 && kinds.has(Anchor::Ipv4) {
        let next = |mask: u64| octet & (mask >> 2 | mask >> 3 | mask >> 4);
        each(next(next(octet)), base, Anchor::Ipv4, sink);
    }
}

fn colons(colon: u64, base: usize, sink: &mut impl FnMut(usize, Anchor)) {
    let mut found = colon & colon >> 1;
    if colon.count_ones() >= 7 {
        let mut chain = colon;
        for _ in 0..6 {
            chain = colon & (chain >> 2 | chain >> 3 | chain >> 4 | chain >> 5);
        }
        found |= chain;
    }
    each(found, base, Anchor::Ipv6, sink);
}

fn each(mask: u64, base: usize, anchor: Anchor, sink: &mut impl FnMut(usize, Anchor)) {
    let mut left = mask & LOW;
    while left != 0 {
        sink(base + left.trailing_zeros() as usize, anchor);
        left &= left - 1;
    }
}

fn rare(bytes: &[u8], mask: u64, kinds: Anchors, base: usize, sink: &mut impl FnMut(usize, Anchor)) {
    let mut left = mask;
    while left != 0 {
        let at = base + left.trailing_zeros() as usize;
        left &= left - 1;
        let next = bytes.get(at + 1).copied().unwrap_or(0);
        let anchor = match bytes.get(at) {
            Some(b'@') => Anchor::Email,
            Some(b'+') if matches!(next, b'1'..=b'9' | b'(') => Anchor::Phone,
            Some(b'(') if next.is_ascii_digit() => Anchor::Phone,
            Some(b'\\') => Anchor::Escape,
            Some(lead) if super::fold::may_begin(*lead, next) => Anchor::Fold,
            _ => continue,
        };
        if kinds.has(anchor) {
            sink(at, anchor);
        }
    }
}
