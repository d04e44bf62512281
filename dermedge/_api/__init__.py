"""What `import dermedge` offers, by subject."""
