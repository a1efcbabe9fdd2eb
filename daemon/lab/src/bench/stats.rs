//! What is told of many samples: the median, the 99th percentile and the greatest.

/// A summary of samples in one unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) count: usize,
    pub(crate) median: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Summary {
    /// Of these samples; none when there are none.
    pub(crate) fn of(samples: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = samples.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            count: sorted.len(),
            median: middle(&sorted)?,
            // The nearest rank, so always a value that was seen; of up to 100 samples the greatest.
            p99: *sorted.get((sorted.len() * 99).div_ceil(100).checked_sub(1)?)?,
            max: *sorted.last()?,
        })
    }
}

fn middle(sorted: &[f64]) -> Option<f64> {
    let half = sorted.len() / 2;
    let upper = *sorted.get(half)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(*sorted.get(half.checked_sub(1)?)?, upper))
}

#[cfg(test)]
mod tests {
    use super::Summary;

    #[test]
    fn nothing_has_no_summary() {
        assert_eq!(Summary::of([]), None);
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        let summary = Summary::of([4.0, 1.0, 3.0, 2.0]).unwrap();
        assert!((summary.median - 2.5).abs() < f64::EPSILON);
    }

    #[test]
    fn the_99th_percentile_of_few_samples_is_the_greatest_and_of_many_is_not() {
        let upto = |n: u32| Summary::of((1..=n).map(f64::from)).unwrap();
        assert!((upto(20).p99 - 20.0).abs() < f64::EPSILON);
        assert!((upto(1000).p99 - 990.0).abs() < f64::EPSILON);
        assert!((upto(1000).max - 1000.0).abs() < f64::EPSILON);
    }
}
