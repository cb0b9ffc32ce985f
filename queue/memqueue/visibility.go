package memqueue

// visibility is a heap: first who can be received first, then who was published first.
type visibility []*item

func (v visibility) Len() int { return len(v) }

func (v visibility) Less(i, j int) bool {
	if !v[i].visible.Equal(v[j].visible) {
		return v[i].visible.Before(v[j].visible)
	}
	return v[i].seq < v[j].seq
}

func (v visibility) Swap(i, j int) {
	v[i], v[j] = v[j], v[i]
	v[i].index, v[j].index = i, j
}

// Push is for package heap.
func (v *visibility) Push(x any) {
	it := x.(*item)
	it.index = len(*v)
	*v = append(*v, it)
}

// Pop is for package heap.
func (v *visibility) Pop() any {
	last := len(*v) - 1
	it := (*v)[last]
	(*v)[last] = nil
	*v = (*v)[:last]
	return it
}
