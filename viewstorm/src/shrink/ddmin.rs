//! Delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", IEEE TSE 2002,
//! algorithm ddmin): the smallest list it can find that still fails, such that taking any one element away makes
//! it pass.

/// Minimises `items`, which are known to fail. `fails` says whether a part of them, in order, still does.
pub(super) fn ddmin<T: Clone>(mut items: Vec<T>, mut fails: impl FnMut(&[T]) -> bool) -> Vec<T> {
    let mut parts = 2;
    while items.len() >= 2 {
        let size = items.len().div_ceil(parts);
        let chunks: Vec<Vec<T>> = items.chunks(size).map(<[T]>::to_vec).collect();
        if let Some(chunk) = chunks.iter().find(|chunk| fails(chunk)) {
            items.clone_from(chunk);
            parts = 2;
            continue;
        }
        let without = |gone: usize| -> Vec<T> {
            let kept = chunks
                .iter()
                .enumerate()
                .filter(|(index, _)| *index != gone);
            kept.flat_map(|(_, chunk)| chunk.iter().cloned()).collect()
        };
        // With two parts a complement is the other part, which has just been tried.
        let rest =
            (chunks.len() > 2).then(|| (0..chunks.len()).map(without).find(|rest| fails(rest)));
        match rest.flatten() {
            Some(rest) => {
                items = rest;
                parts = (parts - 1).max(2);
            }
            None if size == 1 => break,
            None => parts = (2 * parts).min(items.len()),
        }
    }
    if items.len() == 1 && fails(&[]) {
        items.clear();
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_what_is_needed() {
        for needed in [
            vec![],
            vec![7],
            vec![0, 39],
            vec![3, 17, 18],
            vec![1, 2, 3, 4, 5],
        ] {
            let mut runs = 0;
            let left = ddmin((0..40).collect(), |part: &[i32]| {
                runs += 1;
                needed.iter().all(|item| part.contains(item))
            });
            assert_eq!(left, needed);
            assert!(runs < 400, "{runs} runs");
        }
    }

    #[test]
    fn nothing_that_is_left_can_be_taken_away() {
        // It fails with any three of the multiples of five.
        let fails = |part: &[i32]| part.iter().filter(|item| *item % 5 == 0).count() >= 3;
        let left = ddmin((0..40).collect(), fails);
        assert_eq!(left.len(), 3);
    }
}
