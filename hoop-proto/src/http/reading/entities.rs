//! Names of characters that detectors look at: ASCII, and what is taken for it or for nothing.

/// The longest name.
pub(super) const LONGEST: usize = 22;

/// Names that stand without a semicolon, too.
const LEGACY: [(&[u8], &str); 10] = [
    (b"amp", "&"),
    (b"AMP", "&"),
    (b"lt", "<"),
    (b"LT", "<"),
    (b"gt", ">"),
    (b"GT", ">"),
    (b"quot", "\""),
    (b"QUOT", "\""),
    (b"nbsp", "\u{a0}"),
    (b"shy", "\u{ad}"),
];

const NAMES: [(&[u8], &str); 76] = [
    (b"Tab", "\t"),
    (b"NewLine", "\n"),
    (b"excl", "!"),
    (b"num", "#"),
    (b"dollar", "$"),
    (b"percnt", "%"),
    (b"apos", "'"),
    (b"lpar", "("),
    (b"rpar", ")"),
    (b"ast", "*"),
    (b"midast", "*"),
    (b"plus", "+"),
    (b"comma", ","),
    (b"period", "."),
    (b"sol", "/"),
    (b"colon", ":"),
    (b"semi", ";"),
    (b"equals", "="),
    (b"quest", "?"),
    (b"commat", "@"),
    (b"lsqb", "["),
    (b"lbrack", "["),
    (b"bsol", "\\"),
    (b"rsqb", "]"),
    (b"rbrack", "]"),
    (b"Hat", "^"),
    (b"lowbar", "_"),
    (b"UnderBar", "_"),
    (b"grave", "`"),
    (b"DiacriticalGrave", "`"),
    (b"lcub", "{"),
    (b"lbrace", "{"),
    (b"verbar", "|"),
    (b"vert", "|"),
    (b"VerticalLine", "|"),
    (b"rcub", "}"),
    (b"rbrace", "}"),
    (b"fjlig", "fj"),
    (b"NonBreakingSpace", "\u{a0}"),
    (b"ensp", "\u{2002}"),
    (b"emsp", "\u{2003}"),
    (b"emsp13", "\u{2004}"),
    (b"emsp14", "\u{2005}"),
    (b"numsp", "\u{2007}"),
    (b"puncsp", "\u{2008}"),
    (b"thinsp", "\u{2009}"),
    (b"ThinSpace", "\u{2009}"),
    (b"hairsp", "\u{200a}"),
    (b"VeryThinSpace", "\u{200a}"),
    (b"ZeroWidthSpace", "\u{200b}"),
    (b"NegativeVeryThinSpace", "\u{200b}"),
    (b"NegativeThinSpace", "\u{200b}"),
    (b"NegativeMediumSpace", "\u{200b}"),
    (b"NegativeThickSpace", "\u{200b}"),
    (b"zwnj", "\u{200c}"),
    (b"zwj", "\u{200d}"),
    (b"lrm", "\u{200e}"),
    (b"rlm", "\u{200f}"),
    (b"hyphen", "\u{2010}"),
    (b"dash", "\u{2010}"),
    (b"ndash", "\u{2013}"),
    (b"mdash", "\u{2014}"),
    (b"horbar", "\u{2015}"),
    (b"MediumSpace", "\u{205f}"),
    (b"NoBreak", "\u{2060}"),
    (b"ApplyFunction", "\u{2061}"),
    (b"af", "\u{2061}"),
    (b"InvisibleTimes", "\u{2062}"),
    (b"it", "\u{2062}"),
    (b"InvisibleComma", "\u{2063}"),
    (b"ic", "\u{2063}"),
    (b"minus", "\u{2212}"),
    (b"ThickSpace", "\u{205f}\u{200a}"),
    (b"amp", "&"),
    (b"nbsp", "\u{a0}"),
    (b"shy", "\u{ad}"),
];

/// What a name stands for.
pub(super) fn find(name: &[u8]) -> Option<&'static str> {
    NAMES.iter().chain(&LEGACY).find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// What a name without a semicolon stands for, and how long it is.
pub(super) fn find_legacy(name: &[u8]) -> Option<(&'static str, usize)> {
    LEGACY.iter().find(|(known, _)| name.starts_with(known)).map(|(known, text)| (*text, known.len()))
}

/// The character that a number stands for: those of C1 are read as in windows-1252, of which dashes matter.
pub(super) const fn meant(number: u32) -> u32 {
    match number {
        0x96 => 0x2013,
        0x97 => 0x2014,
        number => number,
    }
}
