//! Summaries of samples: median, 99th percentile and maximum.

/// A summary of samples in one unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) count: usize,
    pub(crate) median: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Summary {
    /// Computes the summary of samples; `None` without samples.
    pub(crate) fn of(samples: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = samples.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            count: sorted.len(),
            median: middle(&sorted)?,
            // Nearest rank, so always a measured value; of up to 100 samples the maximum.
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
    fn summary_of_no_samples_is_none() {
        assert_eq!(Summary::of([]), None);
    }

    #[test]
    fn median_of_even_count_is_midpoint() {
        let summary = Summary::of([4.0, 1.0, 3.0, 2.0]).unwrap();
        assert!((summary.median - 2.5).abs() < f64::EPSILON);
    }

    #[test]
    fn p99_is_maximum_only_of_few_samples() {
        let upto = |n: u32| Summary::of((1..=n).map(f64::from)).unwrap();
        assert!((upto(20).p99 - 20.0).abs() < f64::EPSILON);
        assert!((upto(1000).p99 - 990.0).abs() < f64::EPSILON);
        assert!((upto(1000).max - 1000.0).abs() < f64::EPSILON);
    }
}
