//! Social security numbers of the United States, written `AAA-GG-SSSS`.

use std::ops::Range;

use super::text::Text;

/// The number that begins at this place. Numbers that are never issued are none ([SSA, POMS RM 10201.035]).
///
/// [SSA, POMS RM 10201.035]: https://secure.ssa.gov/poms.nsf/lnx/0110201035
pub(super) fn find(text: Text<'_>, at: usize) -> Option<Range<usize>> {
    let digits = |start, len| text.run(start, len, |byte| byte.is_ascii_digit()) == len;
    let shape =
        digits(at, 3) && text.at(at + 3) == b'-' && digits(at + 4, 2) && text.at(at + 6) == b'-' && digits(at + 7, 4);
    let end = at + 11;
    let area = text.slice(at, at + 3);
    let issued = area != b"000" && area != b"666" && text.at(at) != b'9';
    let alone = text.begins(at) && text.ends(end) && text.before(at) != b'-' && text.at(end) != b'-';
    let filled = text.slice(at + 4, at + 6) != b"00" && text.slice(at + 7, end) != b"0000";
    (shape && issued && alone && filled).then_some(at..end)
}
