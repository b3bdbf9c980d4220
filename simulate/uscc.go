package simulate

// uscc is a synthetic 统一社会信用代码 with both check characters right (GB 32100-2015, GB 11714).
func uscc(r *chance, district string) string {
	const set = "0123456789ABCDEFGHJKLMNPQRTUWXY"
	if len(district) != 6 {
		district = "000000"
	}
	b := append([]byte("9"), "12"[r.below(2)])
	b = append(append(b, district...), 'M', 'A')
	sum, value := 0, func(c byte) int {
		if c <= '9' {
			return int(c - '0')
		}
		return int(c-'A') + 10
	}
	for range 6 {
		b = append(b, set[r.below(len(set))])
	}
	for i, weight := range []int{3, 7, 9, 10, 5, 8, 4, 2} {
		sum += value(b[8+i]) * weight
	}
	b = append(b, "0123456789X"[(11-sum%11)%11])
	sum, weight := 0, 1
	for _, c := range b {
		for j := range set {
			if set[j] == c {
				sum += j * weight
			}
		}
		weight = weight * 3 % 31
	}
	return string(append(b, set[(31-sum%31)%31]))
}
