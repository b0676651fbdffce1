"""What nodes, the head and months cost: from the job file, price files, tables and providers."""
