"""The contact optimiser: any hand, any signed distance field, in batches."""
