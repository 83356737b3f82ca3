"""Who pays besides the learner: vouchers, and funding programmes with budgets. Knows no course and no order."""
