"""GraphQL: the executor, its limits, who may see what, and a file of resolvers for each noun."""
