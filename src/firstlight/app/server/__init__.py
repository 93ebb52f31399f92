"""What all pages share: security, answers, errors, static files, the processes that they start."""
