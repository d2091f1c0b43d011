//! Points over time, and few of them that look like all.

/// Values that hold from their time on, in order of time.
#[derive(Default)]
pub(crate) struct Series {
    points: Vec<(f64, f64)>,
}

impl Series {
    pub(crate) fn push(&mut self, at: f64, value: f64) {
        self.points.push((at, value));
    }

    /// Adds a value of a series that never falls, if it is new.
    pub(crate) fn rise(&mut self, at: f64, value: f64) {
        if self.points.last().is_none_or(|(_, last)| value > *last) {
            self.points.push((at, value));
        }
    }

    /// The largest value in this time; none if there is no point.
    pub(crate) fn highest(&self, (from, to): (f64, f64)) -> Option<f64> {
        self.visible(from, to)
            .into_iter()
            .map(|(_, value)| value)
            .reduce(f64::max)
    }

    /// The steps of this time for so many columns of pixels: of each column only the first, the lowest, the highest
    /// and the last point, in their order.
    pub(crate) fn steps(&self, (from, to): (f64, f64), columns: u32) -> Vec<(f64, f64)> {
        let mut steps: Vec<(f64, f64)> = Vec::new();
        for (at, value) in self.thinned((from, to), columns) {
            if let Some(&(_, before)) = steps.last() {
                steps.push((at, before));
            }
            steps.push((at, value));
        }
        // The last value holds to the end.
        if let Some(&(at, value)) = steps.last() {
            if at < to {
                steps.push((to, value));
            }
        }
        steps
    }

    fn thinned(&self, (from, to): (f64, f64), columns: u32) -> Vec<(f64, f64)> {
        let width = (to - from) / f64::from(columns);
        let mut thin = Vec::new();
        let mut column: Vec<(f64, f64)> = Vec::new();
        for point in self.visible(from, to) {
            let same = |first: &(f64, f64)| {
                ((point.0 - from) / width).floor() == ((first.0 - from) / width).floor()
            };
            if !column.first().is_none_or(same) {
                thin.extend(outline(&column));
                column.clear();
            }
            column.push(point);
        }
        thin.extend(outline(&column));
        thin
    }

    /// The points of this time, and at its beginning the value that holds then.
    fn visible(&self, from: f64, to: f64) -> Vec<(f64, f64)> {
        let begin = self.points.partition_point(|(at, _)| *at < from);
        let end = self.points.partition_point(|(at, _)| *at <= to);
        let before = begin.checked_sub(1).map(|at| (from, self.points[at].1));
        let inside = &self.points[begin..end.max(begin)];
        before.into_iter().chain(inside.iter().copied()).collect()
    }
}

/// First, lowest, highest and last of some points, in order, each once.
fn outline(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let by_value = |a: &usize, b: &usize| points[*a].1.total_cmp(&points[*b].1);
    let lowest = (0..points.len()).min_by(by_value);
    let highest = (0..points.len()).max_by(by_value);
    let (Some(lowest), Some(highest)) = (lowest, highest) else {
        return Vec::new();
    };
    let mut chosen = vec![0, lowest, highest, points.len() - 1];
    chosen.sort_unstable();
    chosen.dedup();
    chosen.into_iter().map(|at| points[at]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(points: &[(f64, f64)]) -> Series {
        Series {
            points: points.to_vec(),
        }
    }

    #[test]
    fn a_million_points_become_a_few_for_each_column_and_keep_their_extremes() {
        let mut long = Series::default();
        for step in 0..1_000_000 {
            let value = if step == 567_890 {
                1e9
            } else {
                f64::from(step % 97)
            };
            long.push(f64::from(step) / 1e3, value);
        }
        let steps = long.steps((0.0, 1_000.0), 500);
        assert!(steps.len() <= 500 * 8 + 1, "{}", steps.len());
        assert!(steps.is_sorted_by(|a, b| a.0 <= b.0));
        assert!(steps.iter().any(|(_, value)| *value == 1e9));
        assert_eq!(long.highest((0.0, 500.0)), Some(96.0));
        assert_eq!(long.highest((567.0, 568.0)), Some(1e9));
    }

    #[test]
    fn a_value_holds_until_the_next() {
        let series = series(&[(1.0, 5.0), (3.0, 8.0)]);
        let all = series.steps((0.0, 4.0), 100);
        assert_eq!(all, [(1.0, 5.0), (3.0, 5.0), (3.0, 8.0), (4.0, 8.0)]);
        let between = series.steps((1.5, 2.5), 100);
        assert_eq!(
            between,
            [(1.5, 5.0), (2.5, 5.0)],
            "what held before holds here"
        );
        assert_eq!(series.steps((0.0, 0.5), 100), []);
    }

    #[test]
    fn a_series_that_rises_takes_no_step_back() {
        let mut rising = Series::default();
        for (at, value) in [(0.0, 3.0), (1.0, 2.0), (2.0, 3.0), (3.0, 4.0)] {
            rising.rise(at, value);
        }
        assert_eq!(rising.points, [(0.0, 3.0), (3.0, 4.0)]);
    }
}
