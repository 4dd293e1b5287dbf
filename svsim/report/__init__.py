"""What people see: tables, figures, pages; nothing here computes a metric."""
