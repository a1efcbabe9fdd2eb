//! Deadlines of all routers in a binary heap with an index of the routers' positions, so that setting a
//! deadline and clearing the earliest one take O(log n) and allocate nothing.

use crate::time::Instant;

/// The deadlines of the routers 0 to n.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    /// A binary min-heap of (deadline, router).
    heap: Vec<(Instant, usize)>,
    /// Position of each router in the heap.
    places: Vec<Option<usize>>,
}

impl Deadlines {
    /// Heap for `routers` routers, none of them with a deadline.
    pub(crate) fn new(routers: usize) -> Self {
        Self {
            heap: Vec::with_capacity(routers),
            places: vec![None; routers],
        }
    }

    /// The earliest deadline and its router.
    pub(crate) fn first(&self) -> Option<(Instant, usize)> {
        self.heap.first().copied()
    }

    /// The routers with deadlines up to `now`, in any order.
    pub(crate) fn due(&self, now: Instant) -> impl Iterator<Item = usize> + '_ {
        let is_any = self.first().is_some_and(|(at, _)| at <= now);
        let heap = if is_any { &self.heap[..] } else { &[] };
        let due = heap.iter().filter(move |(at, _)| *at <= now);
        due.map(|(_, router)| *router)
    }

    /// Clears the deadlines up to `now` and appends their routers to `due`, the earliest first.
    pub(crate) fn take_due(&mut self, now: Instant, due: &mut Vec<usize>) {
        while let Some((at, router)) = self.first()
            && at <= now
        {
            self.set(router, None);
            due.push(router);
        }
    }

    /// Sets, moves or clears the deadline of `router`.
    pub(crate) fn set(&mut self, router: usize, deadline: Option<Instant>) {
        match (self.places[router], deadline) {
            (None, None) => {}
            (None, Some(deadline)) => {
                let place = self.heap.len();
                self.heap.push((deadline, router));
                self.places[router] = Some(place);
                self.rise(place);
            }
            (Some(place), Some(deadline)) => {
                self.heap[place].0 = deadline;
                let place = self.rise(place);
                self.sink(place);
            }
            (Some(place), None) => {
                let last = self.heap.len() - 1;
                self.swap(place, last);
                self.heap.pop();
                self.places[router] = None;
                if place < last {
                    // The moved entry may be earlier than its new parent or later than its new children.
                    let place = self.rise(place);
                    self.sink(place);
                }
            }
        }
    }

    fn rise(&mut self, mut place: usize) -> usize {
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.heap[parent] <= self.heap[place] {
                break;
            }
            self.swap(place, parent);
            place = parent;
        }
        place
    }

    fn sink(&mut self, mut place: usize) {
        loop {
            let children = (2 * place + 1..self.heap.len()).take(2);
            let Some(least) = children.min_by_key(|child| self.heap[*child]) else {
                return;
            };
            if self.heap[place] <= self.heap[least] {
                return;
            }
            self.swap(place, least);
            place = least;
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.places[self.heap[a].1] = Some(a);
        self.places[self.heap[b].1] = Some(b);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn setting_a_deadline_moves_at_most_the_heap_height() {
        const ROUTERS: usize = 4000;
        // 4000 is below 2 to the 12th: an entry passes at most 11 others on its way.
        const HEIGHT: usize = 11;
        let mut deadlines = Deadlines::new(ROUTERS);
        let scattered =
            |n: usize| Instant::from_nanos((n as u64).wrapping_mul(2_654_435_761) % 977);
        for router in 0..ROUTERS {
            deadlines.set(router, Some(scattered(router)));
        }
        for step in 0..ROUTERS {
            let before = deadlines.places.clone();
            let router = step * 31 % ROUTERS;
            let earlier_or_later = scattered(step + ROUTERS);
            deadlines.set(router, Some(earlier_or_later));
            let moved = before
                .iter()
                .zip(&deadlines.places)
                .filter(|(a, b)| a != b)
                .count();
            assert!(moved <= HEIGHT + 1, "{moved} moved");
        }
    }

    /// An earlier deadline passes its ancestors in the heap, and no other entries.
    #[test]
    fn earlier_deadline_keeps_the_order_of_the_rest() {
        let mut deadlines = Deadlines::new(7);
        for (router, nanos) in [0, 50, 10, 60, 60, 20, 20].into_iter().enumerate() {
            deadlines.set(router, Some(Instant::from_nanos(nanos)));
        }
        deadlines.set(2, Some(Instant::from_nanos(5)));
        let in_order = core::iter::from_fn(|| {
            let (_, router) = deadlines.first()?;
            deadlines.set(router, None);
            Some(router)
        });
        assert_eq!(in_order.collect::<Vec<_>>(), [0, 2, 5, 6, 1, 3, 4]);
    }

    proptest! {
        #[test]
        fn first_deadline_is_always_the_earliest(
            steps in proptest::collection::vec((0..16_usize, proptest::option::of(0..50_u64)), 1..200)
        ) {
            let mut deadlines = Deadlines::new(16);
            let mut model = BTreeMap::new();
            for (router, at) in steps {
                let at = at.map(Instant::from_nanos);
                deadlines.set(router, at);
                match at {
                    Some(at) => { model.insert(router, at); }
                    None => { model.remove(&router); }
                }
                let least = model.iter().map(|(router, at)| (*at, *router)).min();
                prop_assert_eq!(deadlines.first(), least);
            }
        }

        #[test]
        fn due_deadlines_are_taken_in_order(
            set in proptest::collection::vec(0..50_u64, 1..40), now in 0..50_u64
        ) {
            let mut deadlines = Deadlines::new(set.len());
            for (router, at) in set.iter().enumerate() {
                deadlines.set(router, Some(Instant::from_nanos(*at)));
            }
            let mut due = Vec::new();
            deadlines.take_due(Instant::from_nanos(now), &mut due);
            let all = set.iter().enumerate().map(|(router, at)| (Instant::from_nanos(*at), router));
            let mut expected: Vec<_> = all.filter(|(at, _)| *at <= Instant::from_nanos(now)).collect();
            expected.sort();
            let expected: Vec<_> = expected.into_iter().map(|(_, router)| router).collect();
            prop_assert_eq!(due, expected);
            prop_assert!(deadlines.first().is_none_or(|(at, _)| at > Instant::from_nanos(now)));
        }
    }
}
