"""Who took part: attendance session by session, assessments, and completion as a dated fact."""
