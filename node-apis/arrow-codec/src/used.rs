//! What a slice of an array uses of the values behind it, and its offsets moved to match.
//!
//! An array that was cut out of a larger one points anywhere into the larger one's values. Only the part between
//! the first and the last use travels, so the offsets must count from there. Where they already do, the buffer is
//! passed on as it is; otherwise a new one is made, of offsets only.

use std::ops::Range;

use arrow_buffer::Buffer;
use arrow_data::ByteView;

/// Integers that Arrow counts with.
pub(crate) trait Count: Copy {
    const WIDTH: usize;
    fn read(bytes: &[u8]) -> i64;
    fn write(number: i64, out: &mut Vec<u8>);
}

macro_rules! count {
    ($($t:ty),*) => {
        $(impl Count for $t {
            const WIDTH: usize = size_of::<$t>();

            fn read(bytes: &[u8]) -> i64 {
                bytes.first_chunk().map_or(0, |chunk| i64::from(<$t>::from_ne_bytes(*chunk)))
            }

            fn write(number: i64, out: &mut Vec<u8>) {
                // Callers write numbers that are not larger than ones they have read.
                out.extend_from_slice(&(number as $t).to_ne_bytes());
            }
        })*
    };
}

count!(i16, i32, i64);

/// A buffer of counts, read without regard to alignment: one that came in over a foreign interface may have none.
pub(crate) fn counts<T: Count>(buffer: &Buffer) -> impl ExactSizeIterator<Item = i64> + DoubleEndedIterator {
    buffer.chunks_exact(T::WIDTH).map(T::read)
}

fn rewritten<T: Count>(buffer: &Buffer, each: impl Fn(usize, i64) -> i64) -> Buffer {
    let mut out = Vec::with_capacity(buffer.len());
    counts::<T>(buffer).enumerate().for_each(|(i, number)| T::write(each(i, number), &mut out));
    Buffer::from(out)
}

/// `len + 1` offsets: the values they use, and the offsets counted from there.
pub(crate) fn offsets<T: Count>(buffer: Buffer) -> Option<(Buffer, Range<usize>)> {
    let first = counts::<T>(&buffer).next()?;
    let last = counts::<T>(&buffer).next_back()?;
    let used = usize::try_from(first).ok()?..usize::try_from(last).ok()?;
    if used.start > used.end {
        return None;
    }
    let buffer =
        if first == 0 { buffer } else { rewritten::<T>(&buffer, |_, offset| offset.wrapping_sub(first)) };
    Some((buffer, used))
}

/// The offsets of list views: the values that the views with a size use, and the offsets counted from there.
pub(crate) fn list_views<T: Count>(offsets: Buffer, sizes: &Buffer) -> Option<(Buffer, Range<usize>)> {
    let (mut low, mut high) = (i64::MAX, 0);
    let mut stray = false;
    for (offset, size) in counts::<T>(&offsets).zip(counts::<T>(sizes)) {
        if offset < 0 || size < 0 {
            return None;
        }
        if size > 0 {
            low = low.min(offset);
            high = high.max(offset.checked_add(size)?);
        }
    }
    low = low.min(high);
    for (offset, size) in counts::<T>(&offsets).zip(counts::<T>(sizes)) {
        stray |= size == 0 && offset > high;
    }
    let used = usize::try_from(low).ok()?..usize::try_from(high).ok()?;
    if low == 0 && !stray {
        return Some((offsets, used));
    }
    // An empty view may point anywhere, also outside the part that travels: it points at the start then.
    let sizes: Vec<i64> = counts::<T>(sizes).collect();
    let moved = rewritten::<T>(&offsets, |i, offset| if sizes[i] == 0 { 0 } else { offset - low });
    Some((moved, used))
}

/// The offsets of a dense union: what is used of each child, by type id, and the offsets counted from there.
pub(crate) fn dense(type_ids: &Buffer, offsets: Buffer) -> Option<(Buffer, Vec<Range<usize>>)> {
    let mut used = vec![(i64::MAX, 0i64); 128];
    for (id, offset) in type_ids.iter().zip(counts::<i32>(&offsets)) {
        let (low, high) = used.get_mut(usize::from(*id))?;
        if offset < 0 {
            return None;
        }
        *low = (*low).min(offset);
        *high = (*high).max(offset + 1);
    }
    let offsets = if used.iter().any(|(low, _)| *low != 0 && *low != i64::MAX) {
        rewritten::<i32>(&offsets, |i, offset| offset - used[usize::from(type_ids[i])].0)
    } else {
        offsets
    };
    let ranges = used.into_iter().map(|(low, high)| low.min(high) as usize..high as usize);
    Some((offsets, ranges.collect()))
}

/// The run ends of `window`: which runs it touches, and their ends counted from the start of the window.
pub(crate) fn runs<T: Count>(ends: &Buffer, window: Range<usize>) -> Option<(Buffer, Range<usize>)> {
    let (from, to) = (i64::try_from(window.start).ok()?, i64::try_from(window.end).ok()?);
    if from == to {
        return Some((Buffer::from(Vec::<u8>::new()), 0..0));
    }
    let first = counts::<T>(ends).position(|end| end > from)?;
    let last = counts::<T>(ends).position(|end| end >= to)?;
    let touched = first..last.checked_add(1)?;
    let part = ends.slice_with_length(first * T::WIDTH, touched.len() * T::WIDTH);
    if from == 0 && counts::<T>(&part).next_back() == Some(to) {
        return Some((part, touched));
    }
    Some((rewritten::<T>(&part, |_, end| end.min(to) - from), touched))
}

/// Views of strings or bytes, and the parts of the data buffers that they use, with unused buffers left out.
pub(crate) fn views(views: Buffer, data: &[Buffer]) -> Option<(Buffer, Vec<Buffer>)> {
    let mut used = vec![(usize::MAX, 0usize); data.len()];
    for view in views.chunks_exact(16).map(view) {
        if let Some(bytes) = outside(&view) {
            let (low, high) = used.get_mut(view.buffer_index as usize)?;
            *low = (*low).min(bytes.start);
            *high = (*high).max(bytes.end);
        }
    }
    let is_used = |(low, high): &(usize, usize)| low < high;
    let moved = used.iter().any(|range| !is_used(range) || range.0 != 0);
    let views = if moved { renumbered(&views, &used) } else { views };
    let mut parts = Vec::new();
    for (buffer, range) in data.iter().zip(&used) {
        if range.1 > buffer.len() {
            return None;
        }
        if is_used(range) {
            parts.push(buffer.slice_with_length(range.0, range.1 - range.0));
        }
    }
    Some((views, parts))
}

fn view(bytes: &[u8]) -> ByteView {
    ByteView::from(bytes.first_chunk().map_or(0, |chunk| u128::from_ne_bytes(*chunk)))
}

/// The bytes that a view uses of its data buffer; `None` when it holds them itself.
fn outside(view: &ByteView) -> Option<Range<usize>> {
    let start = view.offset as usize;
    (view.length > 12).then(|| start..start.saturating_add(view.length as usize))
}

fn renumbered(views: &Buffer, used: &[(usize, usize)]) -> Buffer {
    let mut numbers = Vec::with_capacity(used.len());
    let mut next = 0u32;
    for (low, high) in used {
        numbers.push(next);
        next += u32::from(low < high);
    }
    let mut out = Vec::with_capacity(views.len());
    for mut view in views.chunks_exact(16).map(view) {
        let mut number = view.as_u128();
        if outside(&view).is_some() {
            let old = view.buffer_index as usize;
            view.offset -= used[old].0 as u32;
            view.buffer_index = numbers[old];
            number = view.as_u128();
        }
        out.extend_from_slice(&number.to_ne_bytes());
    }
    Buffer::from(out)
}
