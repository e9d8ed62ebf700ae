package probes

import "context"

// probeTCP asks only whether something accepts connections.
func probeTCP(ctx context.Context, a *attempt) error {
	_, closeConn, err := a.connect(ctx)
	if err != nil {
		return err
	}
	closeConn()
	return nil
}
